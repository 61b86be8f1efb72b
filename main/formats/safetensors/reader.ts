/** Reads tensors from a safetensors file in bounded chunks; the file as a whole is never in memory. */
import type { FileHandle } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { decodeBf16, decodeF16 } from '../half-precision.ts';
import { becameShorter, openRegularFile, readFully } from '../../basics/regular-file.ts';
import { dtypeBytes, headerLength, parseHeader, type SafetensorsHeader, type TensorEntry } from './header.ts';

const chunkBytes = 4 * 1024 * 1024;

export interface SafetensorsFile extends SafetensorsHeader {
  readonly path: string;
  /**
   * Values of a BF16, F16, F32 or F64 tensor in row-major order, into `out` (exactly as many elements) where given.
   * @throws TritsmithError `not-found` (no such tensor), `unsupported` (dtype), `bad-input` (length of `out`), `damaged` (file became shorter)
   */
  readFloat32(name: string, out?: Float32Array): Promise<Float32Array>;
  /** The tensor's own bytes (little-endian), or `[begin, end)` of them. @throws TritsmithError as `readFloat32` */
  readBytes(name: string, begin?: number, end?: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

function decodeChunk(dtype: string, bytes: Uint8Array, out: Float32Array): void {
  if (dtype === 'F64') out.set(new Float64Array(bytes.buffer, bytes.byteOffset, out.length));
  else {
    const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, out.length);
    if (dtype === 'BF16') decodeBf16(bits, out);
    else decodeF16(bits, out);
  }
}

async function readFloats(file: FileHandle, path: string, name: string, entry: TensorEntry, out?: Float32Array) {
  const { dtype, begin, end } = entry;
  if (!['F32', 'F16', 'BF16', 'F64'].includes(dtype))
    throw new TritsmithError('unsupported', 'safetensors.no-floats', { path, name, dtype });
  const size = dtypeBytes(dtype)!;
  const count = (end - begin) / size;
  if (out && out.length !== count)
    throw new TritsmithError('bad-input', 'tensor.count', { path, name, count, expected: out.length });
  const values = out ?? new Float32Array(count);
  if (dtype === 'F32') {
    await readFully(file, values, begin, () => becameShorter(path));
    return values;
  }
  const chunk = new Uint8Array(Math.min(chunkBytes, end - begin));
  for (let position = begin; position < end; position += chunk.length) {
    const part = chunk.subarray(0, Math.min(chunk.length, end - position));
    await readFully(file, part, position, () => becameShorter(path));
    const first = (position - begin) / size;
    decodeChunk(dtype, part, values.subarray(first, first + part.length / size));
  }
  return values;
}

/**
 * Opens a safetensors file: its header is checked whole before this returns (see `parseHeader`). Close it when done.
 * @throws TritsmithError `not-found`, `damaged`, `unsupported`
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  let handle: FileHandle | undefined;
  try {
    const opened = await openRegularFile(path);
    const { size } = opened;
    const file = opened.handle;
    handle = file;
    const first = new Uint8Array(Math.min(8, size));
    const short = () => becameShorter(path);
    await readFully(file, first, 0, short);
    const json = new Uint8Array(headerLength(path, first, size));
    await readFully(file, json, 8, short);
    const header = parseHeader(path, json, size);
    const entryOf = (name: string): TensorEntry => {
      const entry = header.tensors.get(name);
      if (!entry) throw new TritsmithError('not-found', 'tensor.absent', { path, name });
      return entry;
    };
    return {
      ...header,
      path,
      async readFloat32(name, out) {
        return readFloats(file, path, name, entryOf(name), out);
      },
      async readBytes(name, begin = 0, end) {
        const entry = entryOf(name);
        const length = entry.end - entry.begin;
        const last = end ?? length;
        if (!(begin >= 0 && begin <= last && last <= length))
          throw new TritsmithError('bad-input', 'tensor.range', { path, name, begin, end: last });
        const bytes = new Uint8Array(last - begin);
        await readFully(file, bytes, entry.begin + begin, short);
        return bytes;
      },
      close: () => file.close(),
    };
  } catch (thrown) {
    await handle?.close().catch(() => undefined);
    throw TritsmithError.from(thrown);
  }
}

/**
 * Refuses NaN and infinities in weights.
 * @throws TritsmithError `damaged` with the index of the first one and how many there are
 */
export function assertFinite(name: string, values: Float32Array): void {
  let bad = 0;
  let first = -1;
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    if (bad++ === 0) first = i;
  }
  if (bad === 0) return;
  throw new TritsmithError('damaged', 'tensor.not-a-number', {
    name,
    bad,
    value: String(values[first]),
    index: first,
    count: values.length,
  });
}
