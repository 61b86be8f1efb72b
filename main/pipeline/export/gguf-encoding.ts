/** How a model's tensors become GGUF tensors of a chosen type, and what each must dequantise to. */
import { native } from '../../../native/index.ts';
import {
  type GgufTensorToWrite,
  packI2s,
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

export type TernaryTypeName = 'I2_S' | 'TQ2_0' | 'TQ1_0';

export interface GgufEncoding {
  readonly linear: TernaryTypeName | 'F16' | 'Q8_0' | 'Q4_0';
  /** Type of embedding and head. */
  readonly embedding: 'F16' | 'F32' | 'Q8_0' | 'Q6_K';
}

const ternaryTypes: readonly string[] = ['I2_S', 'TQ2_0', 'TQ1_0'];

export function isTernaryType(type: string): type is TernaryTypeName {
  return ternaryTypes.includes(type);
}

/** Tensor type of a planned tensor. */
export function typeOfTensor(tensor: GgufTensorPlan, encoding: GgufEncoding): TensorTypeName {
  if (tensor.kind === 'norm') return 'F32';
  return tensor.kind === 'embedding' ? encoding.embedding : encoding.linear;
}

/** Name of the tensor with the scale that TQ2_0 and TQ1_0 have no room for (docs/formats.md, 2.2). */
export function scaleName(weight: string): string {
  return weight.replace(/\.weight$/, '.scale');
}

/** A ternary matrix as the student computes with it: values in {-1, 0, 1} in file order, and what a +1 stands for. */
export interface TernaryValues {
  readonly values: Float32Array;
  readonly delta: number;
}

/** Values of a planned tensor before any packing, in file order. */
export async function plannedValues(tensor: GgufTensorPlan, source: TensorSource): Promise<Float32Array> {
  const values = typeof tensor.source === 'string' ? await source.read(tensor.source) : tensor.source;
  return tensor.permuteHeads === null ? values : permuteRotaryRows(values, tensor.permuteHeads, tensor.shape[1] ?? 1);
}

/** The absmean quantisation of a linear layer (docs/method.md, 2.1), the same that the student trains with. */
export async function ternaryValues(tensor: GgufTensorPlan, source: TensorSource): Promise<TernaryValues> {
  const latent = await plannedValues(tensor, source);
  const values = new Float32Array(latent.length);
  const { delta } = native.quantiseTernary(latent, values);
  return { values, delta: Math.fround(delta) };
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

/** The file's tensors for one planned tensor; the scale of a TQ tensor follows its weights. */
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
    if (type === 'I2_S') return packI2s(values, shape[0]!, shape[1]!, delta);
    return type === 'TQ2_0' ? packTq2(values) : packTq1(values);
  };
  const weight = { name, shape, type, data };
  if (type === 'I2_S') return [weight];
  return [weight, { name: scaleName(name), shape: [1], type: 'F32', data: () => Float32Array.of(scale) }];
}
