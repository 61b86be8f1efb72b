/** Tensor types of GGUF that are read and written here (ggml.h; I2_S of bitnet.cpp). */
import { TritsmithError } from '../../contract/errors.ts';

export interface TensorType {
  readonly name: string;
  /** Number in the file. */
  readonly id: number;
  /** Values in one block; the innermost dimension is a multiple of it. */
  readonly blockValues: number;
  readonly blockBytes: number;
  /** Bytes after the blocks (I2_S: the scale and its padding). */
  readonly tailBytes: number;
}

const type = (name: string, id: number, blockValues: number, blockBytes: number, tailBytes = 0): TensorType => ({
  name,
  id,
  blockValues,
  blockBytes,
  tailBytes,
});

const types = [
  type('F32', 0, 1, 4),
  type('F16', 1, 1, 2),
  type('Q4_0', 2, 32, 18),
  type('Q8_0', 8, 32, 34),
  type('Q6_K', 14, 256, 210),
  type('BF16', 30, 1, 2),
  type('TQ1_0', 34, 256, 54),
  type('TQ2_0', 35, 256, 66),
  type('I2_S', 36, 128, 32, 32),
  type('Q2_0', 42, 64, 18),
] as const;

export type TensorTypeName = 'F32' | 'F16' | 'BF16' | 'Q4_0' | 'Q8_0' | 'Q6_K' | 'TQ1_0' | 'TQ2_0' | 'I2_S' | 'Q2_0';

const byId = new Map<number, TensorType>(types.map((entry) => [entry.id, entry]));
const byName = new Map<string, TensorType>(types.map((entry) => [entry.name, entry]));

export function tensorTypeById(id: number): TensorType | undefined {
  return byId.get(id);
}

export function tensorTypeByName(name: TensorTypeName): TensorType {
  return byName.get(name)!;
}

/** Bytes of `count` values; the last block counts whole (I2_S through rows, i2s.ts). */
export function tensorBytes(type: TensorType, count: number): number {
  return Math.ceil(count / type.blockValues) * type.blockBytes + type.tailBytes;
}

/**
 * Refuses a matrix that a type can't hold. `shape` is row-major, `[rows, columns]` or `[n]`.
 * @throws TritsmithError `unsupported` naming the multiple that is needed
 */
export function checkShapeForType(name: string, type: TensorType, shape: readonly number[]): void {
  const columns = shape.at(-1) ?? 1;
  if (columns % type.blockValues !== 0)
    throw new TritsmithError('unsupported', 'packing.row', {
      name,
      type: type.name,
      multiple: type.blockValues,
      columns,
    });
  const rows = shape.slice(0, -1).reduce((product, dimension) => product * dimension, 1);
  if (type.name === 'I2_S' && rows % 4 !== 0)
    throw new TritsmithError('unsupported', 'packing.i2s-rows', { name, rows });
}
