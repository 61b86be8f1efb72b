/** What is happening in the running experiment right now, gathered from its events and handed on a few times a second. */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import type { ExperimentEvent } from '../../contract/experiments.ts';
import type { LiveProgress, LogLine } from '../../contract/views.ts';
import { readWorkerNote } from '../../experiment/worker-note.ts';
import { parseLayerMetric } from '../../contract/metric-names.ts';

const tellMilliseconds = 200;
/** Time and memory go on although no event comes. */
const leastOftenMilliseconds = 1000;

export interface LiveListener {
  live(live: LiveProgress): void;
  log(lines: LogLine[]): void;
}

export class LiveTracker {
  readonly #folder: string;
  readonly #listener: LiveListener;
  readonly #timer: NodeJS.Timeout;
  #live: LiveProgress | null = null;
  #lines: LogLine[] = [];
  #changed = false;
  #told = -Infinity;
  /** Seconds of all stages, and of the running one, before it began in this session, and when that was. */
  #before = { whole: 0, stage: 0 };
  #began = performance.now();

  /** `folder`: the experiment's, where the worker's process id is noted. */
  constructor(folder: string, listener: LiveListener) {
    this.#folder = folder;
    this.#listener = listener;
    this.#timer = setInterval(() => {
      this.#tell();
    }, tellMilliseconds);
  }

  get live(): LiveProgress | null {
    return this.#live;
  }

  hear(event: ExperimentEvent): void {
    if (event.type === 'changed') {
      const running = event.experiment.stages.find((stage) => stage.state === 'running');
      if (running !== undefined && running.kind !== this.#live?.stage) {
        this.#before = {
          whole: event.experiment.stages.reduce((sum, { seconds }) => sum + seconds, 0),
          stage: running.seconds,
        };
        this.#began = performance.now();
        this.#live = {
          stage: running.kind,
          done: running.done,
          total: running.total,
          unit: running.unit,
          note: null,
          fraction: this.#live?.fraction ?? finishedShare(event.experiment.stages),
          stageSeconds: null,
          wholeSeconds: null,
          latest: {},
          workerBytes: null,
          stopping: this.#live?.stopping ?? null,
          elapsedSeconds: this.#before.whole,
          stageElapsedSeconds: this.#before.stage,
          silentMinutes: null,
        };
      }
    } else if (event.type === 'warning') this.#log('', 'warning', event.text);
    else if (this.#live !== null) this.#update(this.#live, event);
    this.#changed = true;
  }

  stopping(request: 'pause' | 'cancel' | 'restart'): void {
    if (this.#live !== null) this.#live = { ...this.#live, stopping: request };
    this.#changed = true;
    this.#tell();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#tell();
  }

  #update(live: LiveProgress, event: Exclude<ExperimentEvent, { type: 'changed' | 'warning' }>): void {
    if (event.type === 'estimate')
      this.#live = {
        ...live,
        fraction: Math.max(live.fraction, event.fraction),
        stageSeconds: event.stage,
        wholeSeconds: event.whole,
      };
    else if (event.type === 'silent')
      this.#live = { ...live, silentMinutes: event.minutes === 0 ? null : event.minutes };
    else if (event.type === 'gap') this.#lost(live, event.stage, event.seconds);
    else if (event.event.type === 'progress') {
      const { done, total, unit, note } = event.event;
      this.#live = { ...live, done, total, unit, note: note ?? null };
    } else if (event.event.type === 'metrics') {
      // What layers report is read as a whole (ternary-weights.ts); it would only weigh down each event.
      const values = Object.entries(event.event.values)
        .filter(([name]) => parseLayerMetric(name) === null)
        .map(([name, value]) => [name, Number.isFinite(value) ? value : null]);
      this.#live = {
        ...live,
        latest: { ...live.latest, ...(Object.fromEntries(values) as Record<string, number | null>) },
      };
    } else if (event.event.type === 'log') this.#log(event.stage, event.event.level, event.event.text);
    else if (event.event.type === 'checkpoint')
      this.#log(event.stage, 'info', `Checkpoint saved at step ${String(event.event.step)}.`);
  }

  #log(stage: string, level: LogLine['level'], text: string): void {
    this.#lines.push({ stage, time: Date.now(), level, text });
  }

  #lost(live: LiveProgress, stage: string, seconds: number): void {
    this.#began += seconds * 1000;
    this.#live = this.#timed(live);
    this.#told = -Infinity;
    this.#log(
      stage,
      'info',
      `The worker was stopped for ${seconds.toFixed(0)} s, or the machine slept; the time left is counted without that.`,
    );
  }

  #timed(live: LiveProgress): LiveProgress {
    const seconds = Math.max(0, performance.now() - this.#began) / 1000;
    return {
      ...live,
      elapsedSeconds: this.#before.whole + seconds,
      stageElapsedSeconds: this.#before.stage + seconds,
    };
  }

  #tell(): void {
    const now = performance.now();
    if (!this.#changed && now - this.#told <= leastOftenMilliseconds) return;
    this.#changed = false;
    const lines = this.#lines;
    this.#lines = [];
    if (lines.length > 0) this.#listener.log(lines);
    if (this.#live === null) return;
    if (now - this.#told > leastOftenMilliseconds) {
      this.#told = now;
      this.#live = { ...this.#timed(this.#live), workerBytes: residentBytes(this.#folder) };
    }
    this.#listener.live(this.#live);
  }
}

function finishedShare(stages: readonly { weight: number; state: string }[]): number {
  const all = stages.reduce((sum, { weight }) => sum + weight, 0);
  const done = stages.reduce((sum, { weight, state }) => sum + (state === 'done' ? weight : 0), 0);
  return all === 0 ? 0 : done / all;
}

/** Resident memory of the worker by /proc; null elsewhere. */
function residentBytes(folder: string): number | null {
  const worker = readWorkerNote(folder);
  if (worker === null) return null;
  try {
    const status = readFileSync(`/proc/${String(worker.pid)}/status`, 'utf8');
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  } catch {
    return null;
  }
}
