/** How a model's tensors become GGUF tensors of a chosen type, and what each must dequantise to. */
import { native } from '../../../native/index.ts';
import {
  type GgufTensorToWrite,
  packI2s,
  packI2sThroughRows,
  packQ2,
  packQ4,
  packQ6,
  packQ8,
  packTq1,
  packTq2,
  type TensorTypeName,
} from '../../formats/gguf/index.ts';
import { encodeF16 } from '../../formats/half-precision.ts';
import type { GgufTensorPlan } from './gguf-layout.ts';
import { permuteRotaryRows } from '../../models/rotary-rows.ts';
import type { TensorSource } from './tensor-source.ts';

export type TernaryTypeName = 'I2_S' | 'Q2_0' | 'TQ2_0' | 'TQ1_0';

export interface GgufEncoding {
  readonly linear: TernaryTypeName | 'F16' | 'Q8_0' | 'Q4_0';
  /** Type of embedding and head. */
  readonly embedding: 'F16' | 'F32' | 'Q8_0' | 'Q6_K';
  /** For our runtime alone, so that every model can be measured: I2_S rows of any width, any placement of SubLN (docs/formats.md, 3.4). */
  readonly own?: boolean;
}

const ternaryTypes: readonly string[] = ['I2_S', 'Q2_0', 'TQ2_0', 'TQ1_0'];

export function isTernaryType(type: string): type is TernaryTypeName {
  return ternaryTypes.includes(type);
}

/** Whether a type has no room for the scale of a ternary matrix, which is then a tensor beside it (docs/formats.md, 2.2). */
export function separateScales(type: GgufEncoding['linear']): boolean {
  return isTernaryType(type) && type !== 'I2_S';
}

/** Tensor type of a planned tensor. */
export function typeOfTensor(tensor: GgufTensorPlan, encoding: GgufEncoding): TensorTypeName {
  if (tensor.kind === 'norm') return 'F32';
  return tensor.kind === 'embedding' ? encoding.embedding : encoding.linear;
}

/** Name of the tensor with the scale that the ternary types of llama.cpp have no room for (docs/formats.md, 2.2). */
export function scaleName(weight: string): string {
  return weight.replace(/\.weight$/, '.scale');
}

/** A ternary matrix as the student computes with it: values in {-1, 0, 1} in file order, and what a +1 stands for. */
export interface TernaryValues {
  readonly values: Float32Array;
  readonly delta: number;
}

/** Values `from` in the top left corner of zeros `[rows, columns]` (or `[n]`). */
function padded(values: Float32Array, from: readonly number[], to: readonly number[]): Float32Array {
  const [columns, wide] = [from.at(-1)!, to.at(-1)!];
  const result = new Float32Array(to.reduce((product, size) => product * size, 1));
  for (let row = 0; row * columns < values.length; row += 1)
    result.set(values.subarray(row * columns, (row + 1) * columns), row * wide);
  return result;
}

/** Values of a parameter as they lie in the file: padded, and with the rows of the file's architecture. */
function inFileOrder({ padded: padding, shape, permuteHeads }: GgufTensorPlan, values: Float32Array): Float32Array {
  const wide = padding === undefined ? values : padded(values, padding.from, shape);
  return permuteHeads === null ? wide : permuteRotaryRows(wide, permuteHeads, shape[1] ?? 1);
}

async function sourceValues({ source: from }: GgufTensorPlan, source: TensorSource): Promise<Float32Array> {
  return typeof from === 'string' ? source.read(from) : from;
}

/** Values of a planned tensor before any packing, in file order. */
export async function plannedValues(tensor: GgufTensorPlan, source: TensorSource): Promise<Float32Array> {
  const values = await sourceValues(tensor, source);
  const factor = tensor.padded?.factor ?? 1;
  return inFileOrder(tensor, factor === 1 ? values : values.map((value) => value * factor));
}

/** The absmean quantisation of a linear layer (docs/method.md, 2.1), the same that the student trains with; what it is padded with has no part in it. */
export async function ternaryValues(tensor: GgufTensorPlan, source: TensorSource): Promise<TernaryValues> {
  const latent = await sourceValues(tensor, source);
  const values = new Float32Array(latent.length);
  const { delta } = native.quantiseTernary(latent, values);
  return { values: inFileOrder(tensor, values), delta: Math.fround(Math.fround(delta) * (tensor.padded?.factor ?? 1)) };
}

function packDense(type: TensorTypeName, values: Float32Array): ArrayBufferView {
  switch (type) {
    case 'F16':
      return encodeF16(values);
    case 'Q8_0':
      return packQ8(values);
    case 'Q4_0':
      return packQ4(values);
    case 'Q6_K':
      return packQ6(values);
    default:
      return values;
  }
}

/** The file's tensors for one planned tensor; a scale that is a tensor of its own follows its weights. */
export function encodeTensor(
  tensor: GgufTensorPlan,
  source: TensorSource,
  encoding: GgufEncoding,
): readonly GgufTensorToWrite[] {
  const { name, shape } = tensor;
  const type = typeOfTensor(tensor, encoding);
  if (!isTernaryType(type))
    return [{ name, shape, type, data: async () => packDense(type, await plannedValues(tensor, source)) }];
  let scale = Number.NaN;
  const data = async (): Promise<ArrayBufferView> => {
    const { values, delta } = await ternaryValues(tensor, source);
    scale = delta;
    switch (type) {
      case 'I2_S':
        return encoding.own ? packI2sThroughRows(values, delta) : packI2s(values, shape[0]!, shape[1]!, delta);
      case 'Q2_0':
        return packQ2(values);
      case 'TQ2_0':
        return packTq2(values);
      case 'TQ1_0':
        return packTq1(values);
    }
  };
  const weight = { name, shape, type, data, ...(encoding.own ? { throughRows: true } : {}) };
  if (!separateScales(type)) return [weight];
  return [weight, { name: scaleName(name), shape: [1], type: 'F32', data: () => Float32Array.of(scale) }];
}
