/** Everyone who watches the workbench, and what they are told. A slow watcher never holds the workbench up. */
import type { WorkbenchEvent } from '../../contract/views.ts';

/** What may wait for a watcher; one that lags behind for longer begins anew. */
const mostWaiting = 500;

export class EventHub {
  readonly #watchers = new Set<(event: WorkbenchEvent) => void>();

  say(event: WorkbenchEvent): void {
    for (const watcher of [...this.#watchers]) watcher(event);
  }

  /**
   * Events from now on, until `signal` aborts or the consumer stops reading. Of an experiment's `live` events only the newest waits;
   * nothing else is dropped. Where too much waits for a consumer, it gets what waits (and which experiments have ended since), and the
   * stream ends: the consumer then reads the state again and watches anew.
   */
  async *watch(signal?: AbortSignal): AsyncGenerator<WorkbenchEvent, void> {
    const waiting: WorkbenchEvent[] = [];
    let full = false;
    let wake: (() => void) | null = null;
    const watcher = (event: WorkbenchEvent): void => {
      if (event.type === 'live') {
        const older = waiting.findIndex((each) => each.type === 'live' && each.id === event.id);
        if (older >= 0) waiting.splice(older, 1);
      }
      if (waiting.length >= mostWaiting) full = true;
      if (!full || event.type === 'ended') waiting.push(event);
      wake?.();
    };
    const onAbort = (): void => wake?.();
    this.#watchers.add(watcher);
    signal?.addEventListener('abort', onAbort);
    try {
      while (signal?.aborted !== true) {
        const next = waiting.shift();
        if (next !== undefined) yield next;
        else if (full) return;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      this.#watchers.delete(watcher);
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
