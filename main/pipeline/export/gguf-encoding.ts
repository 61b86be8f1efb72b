/** How a model's tensors become GGUF tensors of a chosen type, and what each must dequantise to. */
import {
  type GgufTensorToWrite,
  hasScaleAtEnd,
  packI2s,
  packI2sThroughRows,
  packQ2,
  packQ4,
  packQ6,
  packQ8,
  packTq1,
  packThreeOfFour,
  packTq2,
  tensorTypeByName,
  type TensorTypeName,
} from '../../formats/gguf/index.ts';
import { encodeF16 } from '../../formats/half-precision.ts';
import { hasOwnActivations } from '../../contract/quantisation-in-files.ts';
import { type ModelConfiguration, scaleKind } from '../../models/configuration.ts';
import type { GgufTensorPlan } from './gguf-layout.ts';
import { permuteRotaryRows } from '../../models/rotary-rows.ts';
import { readTernary, type TensorSource } from './tensor-source.ts';

export type TernaryTypeName = 'I2_S' | 'Q2_0' | 'TQ2_0' | 'TQ1_0' | 'T3_4';

export interface GgufEncoding {
  readonly linear: TernaryTypeName | 'F16' | 'Q8_0' | 'Q4_0';
  /** Type of embedding and head. */
  readonly embedding: 'F16' | 'F32' | 'Q8_0' | 'Q6_K';
  /** For our runtime alone, so that every model can be measured: I2_S rows of any width, any placement of SubLN (docs/formats.md, 3.4). */
  readonly own?: boolean;
}

/** The types of a model's file: it is for our runtime alone where the model's inputs are turned or have 4 bits, and as T3_4, whoever asks for it. */
export function encodingFor(
  { ternary, quantisation }: Pick<ModelConfiguration, 'ternary' | 'quantisation'>,
  encoding: GgufEncoding,
): GgufEncoding {
  const own = ternary && (hasOwnActivations(quantisation) || encoding.linear === 'T3_4');
  return own ? { ...encoding, own } : encoding;
}

const ternaryTypes: readonly string[] = ['I2_S', 'Q2_0', 'TQ2_0', 'TQ1_0', 'T3_4'];

export function isTernaryType(type: string): type is TernaryTypeName {
  return ternaryTypes.includes(type);
}

/** Whether a type has no room for the scale of a ternary matrix, which is then a tensor beside it (docs/formats.md, 2.2). */
export function separateScales(type: GgufEncoding['linear']): boolean {
  return isTernaryType(type) && !hasScaleAtEnd(type);
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
  /** One scale, one for each row, or `[rows, groups]` for groups of columns. */
  readonly scales: Float32Array;
  /** Columns of a row that share a scale; null: there is one for all. */
  readonly columns: number | null;
}

/**
 * The tensor with scales beside a ternary matrix; null where the file needs none. Scales of rows and groups are numbers that F16 holds and stand in the blocks of
 * Q2_0 and TQ; what padding multiplies them by is beside them.
 */
export function scalesBeside(
  { name, shape, quantisation, padded: padding }: GgufTensorPlan,
  type: TernaryTypeName,
): { readonly name: string; readonly shape: readonly number[] } | null {
  const beside = { name: scaleName(name), shape: [1] };
  if (scaleKind(quantisation) === 'tensor') return separateScales(type) ? beside : null;
  if (!hasScaleAtEnd(type)) return (padding?.factor ?? 1) === 1 ? null : beside;
  const { group } = quantisation.weights;
  return { ...beside, shape: typeof group === 'number' ? [shape[0]!, shape[1]! / group] : [shape[0]!] };
}

/** The scale of each block of a matrix with several, in file order. */
export function scalesOfBlocks(
  { shape }: GgufTensorPlan,
  { scales, columns }: TernaryValues,
  type: TernaryTypeName,
): Float32Array {
  const [rows, width] = shape as [number, number];
  const block = tensorTypeByName(type).blockValues;
  const [perRow, groups] = [width / block, scales.length / rows];
  // Blocks of columns that were added hold zeros, whatever their scale.
  const groupOf = (at: number): number => Math.min(groups - 1, Math.floor(((at % perRow) * block) / columns!));
  return new Float32Array(rows * perRow).map((_, at) => scales[Math.floor(at / perRow) * groups + groupOf(at)]!);
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

/** Scales of a matrix, as many a row, in the order of its rows in the file. */
function scalesInFileOrder(tensor: GgufTensorPlan, scales: Float32Array): Float32Array {
  const { padded: padding, shape } = tensor;
  const rows = padding?.from[0] ?? shape[0]!;
  const groups = scales.length / rows;
  const own = padding && { ...padding, from: [rows, groups] };
  return inFileOrder({ ...tensor, shape: [shape[0]!, groups], ...(own && { padded: own }) }, scales);
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

/** The quantisation of a linear layer (docs/method.md, 2.1), the same that the student trains with; what it is padded with has no part in it. */
export async function ternaryValues(tensor: GgufTensorPlan, source: TensorSource): Promise<TernaryValues> {
  const { shape, padded: padding, quantisation } = tensor;
  if (typeof tensor.source !== 'string') throw new Error(`${tensor.name} is no parameter`);
  const own = padding?.from ?? shape;
  const { values, scales } = await readTernary(source, tensor.source, own, quantisation);
  const { group } = quantisation.weights;
  if (group === 'tensor') {
    const delta = Math.fround(scales[0]! * (padding?.factor ?? 1));
    return { values: inFileOrder(tensor, values), scales: Float32Array.of(delta), columns: null };
  }
  const columns = group === 'row' ? own[1]! : group;
  return { values: inFileOrder(tensor, values), scales: scalesInFileOrder(tensor, scales), columns };
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
  const beside = scalesBeside(tensor, type);
  /** The scales beside the matrix, known once it was rounded. */
  let scales: Float32Array = new Float32Array();
  const data = async (): Promise<ArrayBufferView> => {
    const found = await ternaryValues(tensor, source);
    const { values } = found;
    const inBlocks = found.columns !== null && !hasScaleAtEnd(type);
    if (beside !== null) scales = inBlocks ? Float32Array.of(tensor.padded?.factor ?? 1) : found.scales;
    const inside = inBlocks ? scalesOfBlocks(tensor, found, type) : 1;
    switch (type) {
      case 'T3_4':
        return packThreeOfFour(values, beside === null ? found.scales[0]! : 1);
      case 'I2_S': {
        const delta = beside === null ? found.scales[0]! : 1;
        return encoding.own ? packI2sThroughRows(values, delta) : packI2s(values, shape[0]!, shape[1]!, delta);
      }
      case 'Q2_0':
        return packQ2(values, inside);
      case 'TQ2_0':
        return packTq2(values, inside);
      case 'TQ1_0':
        return packTq1(values, inside);
    }
  };
  const weight = { name, shape, type, data, ...(encoding.own ? { throughRows: true } : {}) };
  return beside === null ? [weight] : [weight, { ...beside, type: 'F32', data: () => scales }];
}
