/**
 * Utility processes that a workbench uses and Electron's main process starts, since nobody else can: a port on the workbench's side, and the real workers on
 * the other.
 */
import type { LentWorker, LentWorkerNews, LentWorkerWish } from '../contract/window-protocol.ts';
import { OutputTail } from './output-tail.ts';
import type { SpawnPort, WorkerExit, WorkerProcess } from './spawn-port.ts';

/** The workbench's side. */
export class BorrowedWorkers {
  readonly #say: (wish: LentWorkerWish) => void;
  readonly #workers = new Map<number, Borrowed>();
  #last = 0;

  constructor(say: (wish: LentWorkerWish) => void) {
    this.#say = say;
  }

  port(kind: LentWorker): SpawnPort {
    return {
      spawn: () => {
        const id = ++this.#last;
        const worker = new Borrowed(
          (message) => {
            this.#say({ type: 'tell-worker', worker: id, message });
          },
          () => {
            this.#say({ type: 'kill-worker', worker: id });
          },
        );
        this.#workers.set(id, worker);
        this.#say({ type: 'start-worker', worker: id, kind });
        return worker;
      },
    };
  }

  hear(news: LentWorkerNews): void {
    const worker = this.#workers.get(news.worker);
    if (news.type === 'worker-said') worker?.heard(news.message);
    else {
      this.#workers.delete(news.worker);
      worker?.ended(news.exit, news.tail);
    }
  }
}

class Borrowed implements WorkerProcess {
  /** Of no use here: whoever wants to end it does so through the shell. */
  readonly pid = undefined;
  readonly send: (message: unknown) => void;
  readonly kill: () => void;
  readonly #listeners: ((message: unknown) => void)[] = [];
  readonly #exitListeners: ((exit: WorkerExit) => void)[] = [];
  readonly #tail = new OutputTail();

  constructor(send: (message: unknown) => void, kill: () => void) {
    this.send = send;
    this.kill = kill;
  }
  onMessage(listener: (message: unknown) => void): void {
    this.#listeners.push(listener);
  }
  onExit(listener: (exit: WorkerExit) => void): void {
    this.#exitListeners.push(listener);
  }
  outputTail(): string {
    return this.#tail.toString();
  }
  heard(message: unknown): void {
    for (const listener of this.#listeners) listener(message);
  }
  ended(exit: WorkerExit, tail: string): void {
    this.#tail.push(tail);
    for (const listener of this.#exitListeners) listener(exit);
  }
}

/** The shell's side: the workers of one workbench. */
export class LentWorkers {
  readonly #ports: Readonly<Record<LentWorker, SpawnPort>>;
  readonly #say: (news: LentWorkerNews) => void;
  readonly #workers = new Map<number, WorkerProcess>();

  constructor(ports: Readonly<Record<LentWorker, SpawnPort>>, say: (news: LentWorkerNews) => void) {
    this.#ports = ports;
    this.#say = say;
  }

  hear(wish: LentWorkerWish): void {
    const id = wish.worker;
    if (wish.type === 'tell-worker') this.#workers.get(id)?.send(wish.message);
    else if (wish.type === 'kill-worker') this.#workers.get(id)?.kill();
    else {
      const worker = this.#ports[wish.kind].spawn();
      this.#workers.set(id, worker);
      worker.onMessage((message) => {
        this.#say({ type: 'worker-said', worker: id, message });
      });
      worker.onExit(({ code, signal, startError }) => {
        this.#workers.delete(id);
        const exit = { code, signal, ...(startError === undefined ? {} : { startError }) };
        this.#say({ type: 'worker-exited', worker: id, exit, tail: worker.outputTail() });
      });
    }
  }

  /** Their workbench is gone: nobody will hear them. */
  end(): void {
    for (const worker of this.#workers.values()) worker.kill();
  }
}
