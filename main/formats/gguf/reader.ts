/** Reads GGUF files: metadata and tensor list at once, one tensor's values at a time in bounded chunks. */
import type { FileHandle } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { becameShorter, openRegularFile, readFully } from '../../basics/regular-file.ts';
import { type GgufHeader, type GgufTensor, MoreBytesNeeded, parseGgufHeader } from './header.ts';
import { unpackI2sBlocks } from './i2s.ts';
import { dequantiseBlocks, readableTypes } from './quantised.ts';
import { hasScaleAtEnd, type TensorType, tensorTypeById } from './tensor-types.ts';
import { unpackThreeOfFour } from './three-of-four.ts';

const firstBytes = 1024 * 1024;
const largestHeader = 512 * 1024 * 1024;
const chunkBlocks = 1 << 20;

export interface GgufFile extends GgufHeader {
  readonly path: string;
  /**
   * Dequantised values of a tensor of a readable type (quantised.ts: floats, Q4 to Q8, Q2_K to Q6_K, IQ4, ternary), row-major, into `out` where given.
   * @throws TritsmithError `not-found`, `unsupported` (type), `bad-input` (length of `out`), `damaged`
   */
  readFloat32(name: string, out?: Float32Array): Promise<Float32Array>;
  /** The tensor's packed bytes. @throws TritsmithError as `readFloat32` */
  readBytes(name: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

async function readBytes(file: FileHandle, path: string, length: number, position: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await readFully(file, bytes, position, () => becameShorter(path));
  return bytes;
}

async function readHeader(file: FileHandle, path: string, fileBytes: number): Promise<GgufHeader> {
  for (let length = Math.min(firstBytes, fileBytes); ; length = Math.min(length * 4, fileBytes)) {
    const bytes = await readBytes(file, path, length, 0);
    try {
      return parseGgufHeader(path, Buffer.from(bytes.buffer), fileBytes);
    } catch (thrown) {
      if (thrown instanceof TritsmithError) throw thrown;
      const lacking = thrown instanceof MoreBytesNeeded;
      if (lacking && length < Math.min(fileBytes, largestHeader)) continue;
      throw new TritsmithError('damaged', 'gguf.damaged', {
        path,
        problem: lacking ? null : (thrown as Error).message,
      });
    }
  }
}

async function readValues(file: FileHandle, path: string, tensor: GgufTensor, type: TensorType, out: Float32Array) {
  const blocks = Math.ceil(tensor.count / type.blockValues);
  const step = Math.max(1, Math.floor(chunkBlocks / type.blockValues));
  let scale = 1;
  if (hasScaleAtEnd(type.name)) {
    const tail = await readBytes(file, path, 4, tensor.begin + blocks * type.blockBytes);
    scale = new DataView(tail.buffer).getFloat32(0, true);
  }
  for (let block = 0; block < blocks; block += step) {
    const count = Math.min(step, blocks - block);
    const bytes = await readBytes(file, path, count * type.blockBytes, tensor.begin + block * type.blockBytes);
    const part = out.subarray(block * type.blockValues, (block + count) * type.blockValues);
    if (hasScaleAtEnd(type.name)) {
      const whole = new Int8Array(count * type.blockValues);
      if (type.name === 'I2_S') unpackI2sBlocks(bytes, whole);
      else unpackThreeOfFour(bytes, whole);
      for (let i = 0; i < part.length; i++) part[i] = whole[i]! * scale;
    } else dequantiseBlocks(type, bytes, part);
  }
}

/**
 * Opens a GGUF file of version 2 or 3; the header is checked whole before this returns. Close it when done.
 * @throws TritsmithError `not-found`, `damaged`, `unsupported`
 */
export async function openGguf(path: string): Promise<GgufFile> {
  let handle: FileHandle | undefined;
  try {
    const opened = await openRegularFile(path);
    const { size } = opened;
    const file = opened.handle;
    handle = file;
    const header = await readHeader(file, path, size);
    const tensorOf = (name: string) => {
      const tensor = header.tensors.get(name);
      if (!tensor) throw new TritsmithError('not-found', 'tensor.absent', { path, name });
      const type = tensorTypeById(tensor.typeId);
      if (!type || tensor.bytes === null || !readableTypes.has(type.name))
        throw new TritsmithError('unsupported', 'gguf.tensor-type', { path, name, type: tensor.type });
      return { tensor, type, bytes: tensor.bytes };
    };
    return {
      ...header,
      path,
      async readFloat32(name, out) {
        const { tensor, type } = tensorOf(name);
        if (out && out.length !== tensor.count)
          throw new TritsmithError('bad-input', 'tensor.count', {
            path,
            name,
            count: tensor.count,
            expected: out.length,
          });
        const values = out ?? new Float32Array(tensor.count);
        await readValues(file, path, tensor, type, values);
        return values;
      },
      async readBytes(name) {
        const { tensor, bytes } = tensorOf(name);
        return readBytes(file, path, bytes, tensor.begin);
      },
      close: () => file.close(),
    };
  } catch (thrown) {
    await handle?.close().catch(() => undefined);
    throw TritsmithError.from(thrown);
  }
}
