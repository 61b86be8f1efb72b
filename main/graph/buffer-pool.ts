import { type BackendMemory, hostMemory } from './backend.ts';

/** Buffers by name that grow to the largest size asked for and are used again. */
export class BufferPool {
  readonly #buffers = new Map<string, Float32Array>();
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #memory: BackendMemory;

  /** @param memory gives up what it keeps of a buffer that is replaced by a larger one */
  constructor(memory: BackendMemory = hostMemory) {
    this.#memory = memory;
  }

  /** A buffer of exactly `count` elements with whatever it last held; valid until the name is taken again. */
  take(name: string, count: number): Float32Array {
    let buffer = this.#buffers.get(name);
    if (!buffer || buffer.length < count) {
      if (buffer) this.#memory.drop(buffer);
      buffer = new Float32Array(count);
      this.#buffers.set(name, buffer);
    }
    return buffer.subarray(0, count);
  }

  /** The same for single bytes; names of their own. */
  takeBytes(name: string, count: number): Uint8Array {
    let buffer = this.#bytes.get(name);
    if (!buffer || buffer.length < count) {
      if (buffer) this.#memory.drop(buffer);
      buffer = new Uint8Array(count);
      this.#bytes.set(name, buffer);
    }
    return buffer.subarray(0, count);
  }

  /** Lets the memory give up all of it. */
  release(): void {
    this.#memory.drop(...this.#buffers.values(), ...this.#bytes.values());
    this.#buffers.clear();
    this.#bytes.clear();
  }
}
