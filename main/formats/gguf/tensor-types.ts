/** Tensor types of GGUF: every one of llama.cpp (ggml.h), with its size, I2_S of bitnet.cpp, and our own T3_4. Which of them are read: quantised.ts. */
import { TritsmithError } from '../../contract/errors.ts';

export interface TensorType {
  readonly name: string;
  /** Number in the file. */
  readonly id: number;
  /** Values in one block; the innermost dimension is a multiple of it. */
  readonly blockValues: number;
  readonly blockBytes: number;
  /** Bytes after the blocks (I2_S and T3_4: the scale and its padding). */
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
  type('Q4_1', 3, 32, 20),
  type('Q5_0', 6, 32, 22),
  type('Q5_1', 7, 32, 24),
  type('Q8_0', 8, 32, 34),
  type('Q8_1', 9, 32, 36),
  type('Q2_K', 10, 256, 84),
  type('Q3_K', 11, 256, 110),
  type('Q4_K', 12, 256, 144),
  type('Q5_K', 13, 256, 176),
  type('Q6_K', 14, 256, 210),
  type('Q8_K', 15, 256, 292),
  type('IQ2_XXS', 16, 256, 66),
  type('IQ2_XS', 17, 256, 74),
  type('IQ3_XXS', 18, 256, 98),
  type('IQ1_S', 19, 256, 50),
  type('IQ4_NL', 20, 32, 18),
  type('IQ3_S', 21, 256, 110),
  type('IQ2_S', 22, 256, 82),
  type('IQ4_XS', 23, 256, 136),
  type('I8', 24, 1, 1),
  type('I16', 25, 1, 2),
  type('I32', 26, 1, 4),
  type('I64', 27, 1, 8),
  type('F64', 28, 1, 8),
  type('IQ1_M', 29, 256, 56),
  type('BF16', 30, 1, 2),
  type('TQ1_0', 34, 256, 54),
  type('TQ2_0', 35, 256, 66),
  type('I2_S', 36, 128, 32, 32),
  type('MXFP4', 39, 32, 17),
  type('NVFP4', 40, 64, 36),
  type('Q1_0', 41, 128, 18),
  type('Q2_0', 42, 64, 18),
  type('T3_4', 1034, 32, 5, 32),
] as const;

/** Types that are written. */
export type TensorTypeName =
  'F32' | 'F16' | 'BF16' | 'Q4_0' | 'Q8_0' | 'Q6_K' | 'TQ1_0' | 'TQ2_0' | 'I2_S' | 'Q2_0' | 'T3_4';

/** Numbers that llama.cpp gave up, and those of a well-known fork (142, 143: ternary and 2-bit codes in groups of 128). */
const removed: readonly number[] = [4, 5, 31, 32, 33, 37, 38];
const ofForks: readonly number[] = [142, 143];

const byId = new Map<number, TensorType>(types.map((entry) => [entry.id, entry]));
const byName = new Map<string, TensorType>(types.map((entry) => [entry.name, entry]));

/** What a type is called where it is shown; an unknown one by its number. */
export function tensorTypeTitle(id: number): string {
  const known = byId.get(id);
  if (known) return known.name;
  if (removed.includes(id)) return `type ${id} (removed from llama.cpp)`;
  return ofForks.includes(id) ? `type ${id} (of a fork of llama.cpp)` : `type ${id}`;
}

export function tensorTypeById(id: number): TensorType | undefined {
  return byId.get(id);
}

export function tensorTypeByName(name: TensorTypeName): TensorType {
  return byName.get(name)!;
}

/** Bytes of `count` values; the last block counts whole (I2_S through rows, i2s.ts; T3_4). */
export function tensorBytes(type: TensorType, count: number): number {
  return Math.ceil(count / type.blockValues) * type.blockBytes + type.tailBytes;
}

/** Types whose blocks go on over the ends of rows, with one scale behind the last. */
export function hasScaleAtEnd(type: string): boolean {
  return type === 'I2_S' || type === 'T3_4';
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
