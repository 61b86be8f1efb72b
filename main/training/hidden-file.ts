/** Hidden states of rows in a file, so that memory does not grow with them: float32, row after row, each as long as its tokens. */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { TritsmithError } from '../contract/errors.ts';
import { becameShorter, readFully } from '../basics/regular-file.ts';

export class HiddenFile {
  readonly path: string;
  /** Values of a token. */
  readonly width: number;
  readonly #handle: FileHandle;
  readonly #lengths: Int32Array;
  /** First token of each row. */
  readonly #starts: Float64Array;

  private constructor(path: string, handle: FileHandle, width: number, lengths: Int32Array) {
    this.path = path;
    this.#handle = handle;
    this.width = width;
    this.#lengths = lengths;
    this.#starts = new Float64Array(lengths.length);
    for (let row = 1; row < lengths.length; row += 1) this.#starts[row] = this.#starts[row - 1]! + lengths[row - 1]!;
  }

  /** Begins an empty file. @throws TritsmithError `no-space`, `not-writable`, `not-found` */
  static async create(path: string, width: number, lengths: Int32Array): Promise<HiddenFile> {
    try {
      return new HiddenFile(path, await open(path, 'w+'), width, lengths);
    } catch (thrown) {
      throw TritsmithError.from(thrown);
    }
  }

  /** The file of an earlier session, to be read and written further. @throws TritsmithError `not-found`, `not-writable` */
  static async open(path: string, width: number, lengths: Int32Array): Promise<HiddenFile> {
    try {
      return new HiddenFile(path, await open(path, 'r+'), width, lengths);
    } catch (thrown) {
      throw TritsmithError.from(thrown);
    }
  }

  #place(row: number): { count: number; position: number } {
    const bytes = this.width * Float32Array.BYTES_PER_ELEMENT;
    return { count: this.#lengths[row]! * this.width, position: this.#starts[row]! * bytes };
  }

  /** Writes the states of a row's tokens, the first of `states`. @throws TritsmithError `no-space` */
  async write(row: number, states: Float32Array): Promise<void> {
    const { count, position } = this.#place(row);
    const bytes = new Uint8Array(states.buffer, states.byteOffset, count * Float32Array.BYTES_PER_ELEMENT);
    try {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    } catch (thrown) {
      throw TritsmithError.from(thrown);
    }
  }

  /** Fills the beginning of `into` with the states of a row. @throws TritsmithError `damaged` where the row was not written whole */
  async read(row: number, into: Float32Array): Promise<void> {
    const { count, position } = this.#place(row);
    await readFully(this.#handle, into.subarray(0, count), position, () => becameShorter(this.path));
  }

  /** Rows side by side, `[B, T, hidden]`, padded with zeros on the right. */
  async readPadded(rows: readonly number[], length: number): Promise<Float32Array> {
    const states = new Float32Array(rows.length * length * this.width);
    for (const [at, row] of rows.entries()) await this.read(row, states.subarray(at * length * this.width));
    return states;
  }

  /** Resolves when the disk has what was written. @throws TritsmithError `no-space` */
  async sync(): Promise<void> {
    try {
      await this.#handle.sync();
    } catch (thrown) {
      throw TritsmithError.from(thrown);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** Closes the file and removes it. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }
}
