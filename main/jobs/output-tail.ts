/** Keeps the end of a stream of text within a bound. */
export class OutputTail {
  readonly #limit: number;
  #text = '';
  #dropped = false;

  /** `limit`: most characters that are kept. */
  constructor(limit = 64 * 1024) {
    this.#limit = limit;
  }

  push(chunk: string): void {
    this.#text += chunk;
    if (this.#text.length <= this.#limit) return;
    this.#text = this.#text.slice(-this.#limit);
    this.#dropped = true;
  }

  toString(): string {
    return this.#dropped ? `[...]${this.#text}` : this.#text;
  }
}
