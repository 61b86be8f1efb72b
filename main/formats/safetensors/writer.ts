/** Writes a safetensors file tensor by tensor: memory holds one tensor at a time. */
import { TritsmithError } from '../../contract/errors.ts';
import { type AtomicFile, writeFileAtomically } from '../../basics/atomic-file.ts';
import { type TensorData, writeTensorData } from '../tensor-data.ts';
import { dtypeBytes, elementCount } from './header.ts';

/** `data` gives little-endian values of `dtype` in row-major order. */
export interface TensorToWrite extends TensorData {
  readonly dtype: 'F32' | 'F16' | 'BF16' | 'U8' | 'I32';
  readonly shape: readonly number[];
}

interface Placed {
  readonly tensor: TensorToWrite;
  readonly bytes: number;
  readonly offset: number;
}

function place(path: string, tensors: Iterable<TensorToWrite>): Placed[] {
  const seen = new Set<string>();
  const sized = [...tensors].map((tensor) => {
    const count = elementCount(tensor.shape);
    if (seen.has(tensor.name) || tensor.name === '__metadata__' || count === null)
      throw new TritsmithError('internal', 'tensor.not-writable', {
        path,
        name: tensor.name,
        why: count === null ? 'shape' : 'taken',
      });
    seen.add(tensor.name);
    return { tensor, bytes: count * dtypeBytes(tensor.dtype)! };
  });
  sized.sort((a, b) => dtypeBytes(b.tensor.dtype)! - dtypeBytes(a.tensor.dtype)!);
  let offset = 0;
  return sized.map(({ tensor, bytes }) => {
    const placed = { tensor, bytes, offset };
    offset += bytes;
    return placed;
  });
}

function headerBytes(placed: readonly Placed[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries: [string, unknown][] = placed.map(({ tensor, bytes, offset }) => [
    tensor.name,
    { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [offset, offset + bytes] },
  ]);
  const json = Buffer.from(JSON.stringify(Object.fromEntries([['__metadata__', metadata], ...entries])), 'utf8');
  const padded = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return header;
}

/**
 * Writes all tensors and the metadata to `path`, whole or not at all (see `writeFileAtomically`). Tensors are laid out by item size,
 * largest first, so that each is aligned; within a size in the order given.
 * @throws TritsmithError `no-space`, `not-writable`, `not-found`; `internal` where data does not fit its shape or a name comes twice
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const placed = place(path, tensors);
  const header = headerBytes(placed, metadata);
  const total = placed.reduce((sum, { bytes }) => sum + bytes, header.length);
  const write = async (file: AtomicFile): Promise<void> => {
    await file.write(header);
    for (const { tensor, bytes } of placed) {
      await writeTensorData(file, tensor, bytes);
    }
  };
  await writeFileAtomically(path, write, total);
}
