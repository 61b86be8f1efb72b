/** Buffers by name that grow to the largest size asked for and are used again. */
export class BufferPool {
  readonly #buffers = new Map<string, Float32Array>();
  readonly #bytes = new Map<string, Uint8Array>();

  /** A buffer of exactly `count` elements with whatever it last held; valid until the name is taken again. */
  take(name: string, count: number): Float32Array {
    let buffer = this.#buffers.get(name);
    if (!buffer || buffer.length < count) {
      buffer = new Float32Array(count);
      this.#buffers.set(name, buffer);
    }
    return buffer.subarray(0, count);
  }

  /** The same for single bytes; names of their own. */
  takeBytes(name: string, count: number): Uint8Array {
    let buffer = this.#bytes.get(name);
    if (!buffer || buffer.length < count) {
      buffer = new Uint8Array(count);
      this.#bytes.set(name, buffer);
    }
    return buffer.subarray(0, count);
  }
}
