/** A stream of bytes read as lines of text and counted runs of bytes, one after the other. */

export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** The next line without its end; null where the stream has ended before one, or it is longer than `longest` bytes. */
  async line(longest: number): Promise<string | null> {
    const parts: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const end = this.#rest.indexOf(10);
      const part = end < 0 ? this.#rest : this.#rest.subarray(0, end);
      parts.push(part);
      length += part.length;
      if (length > longest) return null;
      if (end >= 0) {
        this.#rest = this.#rest.subarray(end + 1);
        return Buffer.concat(parts).toString('utf8');
      }
      if (!(await this.#more())) return null;
    }
  }

  /** The next `count` bytes in pieces; fewer where the stream ends before. */
  async *bytes(count: number): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0;) {
      if (this.#rest.length === 0 && !(await this.#more())) return;
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** Resolves when the stream has ended, or broken. */
  async skipAll(): Promise<void> {
    try {
      while (await this.#more());
    } catch {
      // Nobody reads it.
    }
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    this.#rest = next.done === true ? new Uint8Array(0) : next.value;
    return next.done !== true;
  }
}
