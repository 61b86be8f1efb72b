/** A wish to stop that can be made stronger: first pause, then cancel. (An AbortSignal fires only once.) */
export type StopRequest = 'pause' | 'cancel';

export class StopSignal {
  #request: StopRequest | null = null;
  readonly #listeners = new Set<(request: StopRequest) => void>();

  get request(): StopRequest | null {
    return this.#request;
  }

  /** Asks to pause, or to cancel; a cancel is never weakened to a pause, and saying the same twice says it once. */
  ask(request: StopRequest): void {
    if (this.#request === request || this.#request === 'cancel') return;
    this.#request = request;
    for (const listener of [...this.#listeners]) listener(request);
  }

  /** Calls `listener` for each new request from now on, and at once if there is one already. Returns how to stop that. */
  subscribe(listener: (request: StopRequest) => void): () => void {
    this.#listeners.add(listener);
    if (this.#request !== null) listener(this.#request);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
