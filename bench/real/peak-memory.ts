/** The most memory that each stage's worker held, where the system tells of it (Linux). */
import { MemoryWatch } from '../../main/jobs/memory-death.ts';
import type { SpawnPort } from '../../main/jobs/spawn-port.ts';

export class PeakMemory {
  readonly port: SpawnPort;
  readonly #peaks = new Map<string, number>();
  #stage: string | null = null;

  constructor(port: SpawnPort) {
    this.port = {
      spawn: () => {
        const worker = port.spawn();
        const watch = new MemoryWatch(worker.pid);
        const note = (): void => {
          if (this.#stage !== null && watch.peak !== null)
            this.#peaks.set(this.#stage, Math.max(watch.peak, this.#peaks.get(this.#stage) ?? 0));
        };
        const timer = setInterval(note, 200);
        worker.onExit(() => {
          note();
          clearInterval(timer);
          watch.end();
          this.#stage = null;
        });
        return worker;
      },
    };
  }

  /** What the worker of now works on, as its events tell. */
  works(stage: string): void {
    this.#stage = stage;
  }

  /** Bytes by stage. */
  get peaks(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#peaks);
  }
}
