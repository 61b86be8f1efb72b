/** Listens to a worker's silence: tells a long computation from a worker that hangs, and time that was lost to a suspended process from time that was worked. */
import { performance } from 'node:perf_hooks';

/** A worker says that it is alive this often, whenever its event loop turns (between micro-batches, during file access). */
export const heartbeatSeconds = 5;

export interface SilenceOptions {
  /** Nothing was heard for `minutes`; said again as it goes on, and once with 0 when the worker is heard again. */
  onSilent?(minutes: number): void;
  /** The worker was heard again after `seconds` in which it cannot have worked: stopped, or the machine slept. */
  onGap?(seconds: number): void;
  /** Minutes without a message before `onSilent`; default: five times the longest ordinary silence so far, from 2 up to 10. */
  silentAfterMinutes?: number;
  /** How often the worker says that it is alive; default HEARTBEAT_SECONDS. */
  heartbeatSeconds?: number;
}

/** Measured in monotonic time: setting the clock changes nothing. */
export class SilenceWatch {
  readonly #options: SilenceOptions;
  readonly #heartbeat: number;
  #last = performance.now();
  /** Milliseconds of the longest silence that a computation explains. */
  #ordinary = 0;
  #silent = false;
  /** The silence before the first message is the start of the process, no measure of its work. */
  #started = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SilenceOptions) {
    this.#options = options;
    this.#heartbeat = (options.heartbeatSeconds ?? heartbeatSeconds) * 1000;
    this.#arm(this.#limit());
  }

  heard(): void {
    const now = performance.now();
    const gap = now - this.#last;
    this.#last = now;
    if (gap > Math.max(3 * this.#heartbeat, 5 * this.#ordinary)) this.#options.onGap?.(gap / 1000);
    else if (this.#started) this.#ordinary = Math.max(this.#ordinary, gap);
    this.#started = true;
    if (this.#silent) this.#options.onSilent?.(0);
    this.#silent = false;
    this.#arm(this.#limit());
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #limit(): number {
    const { silentAfterMinutes } = this.#options;
    return silentAfterMinutes === undefined
      ? Math.min(10 * 60_000, Math.max(2 * 60_000, 5 * this.#ordinary))
      : silentAfterMinutes * 60_000;
  }

  #arm(milliseconds: number): void {
    clearTimeout(this.#timer);
    const armed = performance.now();
    this.#timer = setTimeout(() => {
      // Late itself: this process was stopped too, and what the worker said waits to be read.
      const late = performance.now() - armed - milliseconds > 3 * this.#heartbeat;
      if (!late) {
        this.#silent = true;
        this.#options.onSilent?.((performance.now() - this.#last) / 60_000);
      }
      this.#arm(late ? milliseconds : Math.min(60_000, this.#limit()));
    }, milliseconds);
  }
}
