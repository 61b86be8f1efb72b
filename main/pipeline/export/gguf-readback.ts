/** Reads an exported GGUF file back and compares every tensor with the model that it was made of. */
import { TritsmithError } from '../../contract/errors.ts';
import { type GgufFile, hasScaleAtEnd, openGguf, packQ4, packQ6, packQ8 } from '../../formats/gguf/index.ts';
import { decodeF16, encodeF16 } from '../../formats/half-precision.ts';
import {
  type GgufEncoding,
  isTernaryType,
  plannedValues,
  scalesBeside,
  scalesOfBlocks,
  ternaryValues,
  typeOfTensor,
} from './gguf-encoding.ts';
import type { GgufPlan, GgufTensorPlan } from './gguf-layout.ts';
import type { TensorSource } from './tensor-source.ts';

export interface ReadBack {
  readonly tensors: number;
  /** Bytes of the linear layers alone. */
  readonly bodyBytes: number;
  /** Ternary tensors, all of them exactly the student's, and the share of zeros in them. */
  readonly ternaryTensors: number;
  readonly zeroFraction: number;
  /** Largest difference of a tensor of a lossy type (Q8_0, Q6_K, Q4_0) from the model, as a share of the tensor's largest value. */
  readonly largestLoss: number;
}

const different = (path: string, name: string, reason: string) =>
  new TritsmithError('damaged', 'export.tensor-differs', { path, name, reason });

function firstDifference(actual: Float32Array, expected: (index: number) => number): number {
  for (let index = 0; index < actual.length; index += 1) if (actual[index] !== expected(index)) return index;
  return -1;
}

function expectEqual(path: string, name: string, actual: Float32Array, expected: (index: number) => number): void {
  const at = firstDifference(actual, expected);
  if (at >= 0) throw different(path, name, `Value ${at} is ${actual[at]} instead of ${expected(at)}.`);
}

/** Largest step between neighbouring values of a lossy type relative to the block's largest value; half of it is the error to expect. */
const grid: Record<string, number> = { Q8_0: 1 / 127, Q6_K: 1 / 32, Q4_0: 1 / 8 };

async function checkLossy(
  file: GgufFile,
  tensor: GgufTensorPlan,
  type: 'Q8_0' | 'Q6_K' | 'Q4_0',
  source: TensorSource,
): Promise<number> {
  const wanted = await plannedValues(tensor, source);
  const pack = { Q8_0: packQ8, Q6_K: packQ6, Q4_0: packQ4 }[type];
  const [stored, packed] = [await file.readBytes(tensor.name), pack(wanted)];
  if (Buffer.compare(stored, packed) !== 0) throw different(file.path, tensor.name, 'Its packed bytes differ.');
  const actual = await file.readFloat32(tensor.name);
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let loss = 0;
  for (let index = 0; index < actual.length; index += 1)
    loss = Math.max(loss, Math.abs(actual[index]! - wanted[index]!));
  // One step and a half leaves room for the rounding of scales; what is beyond is a layout mistake, not quantisation.
  if (loss > 1.5 * grid[type]! * largest + 1e-7)
    throw different(file.path, tensor.name, `A value is off by ${loss}, which ${type} can't explain.`);
  return largest === 0 ? 0 : loss / largest;
}

/**
 * Compares tensor by tensor: ternary and F32 values exactly, F16 with the rounded value exactly, other types byte by byte with a
 * second packing and within their grid.
 * @throws TritsmithError `damaged` at the first difference
 */
export async function readBackGguf(
  path: string,
  plan: GgufPlan,
  source: TensorSource,
  encoding: GgufEncoding,
  onTensor: (done: number) => Promise<void> = () => Promise.resolve(),
): Promise<ReadBack> {
  const file = await openGguf(path);
  let bodyBytes = 0;
  let ternaryTensors = 0;
  let zeros = 0;
  let weights = 0;
  let largestLoss = 0;
  let expectedTensors = 0;
  try {
    for (const [index, tensor] of plan.tensors.entries()) {
      await onTensor(index);
      const { name } = tensor;
      const type = typeOfTensor(tensor, encoding);
      expectedTensors += 1;
      if (file.tensors.get(name)?.type !== type || file.tensors.get(name)!.shape.join() !== tensor.shape.join())
        throw different(path, name, `It should be ${type} of shape [${tensor.shape.join(', ')}].`);
      if (isTernaryType(type)) {
        const found = await ternaryValues(tensor, source);
        const { values, scales } = found;
        const beside = scalesBeside(tensor, type);
        const inBlocks = found.columns !== null && !hasScaleAtEnd(type);
        const blocks = inBlocks ? scalesOfBlocks(tensor, found, type) : null;
        const perBlock = blocks === null ? values.length : values.length / blocks.length;
        const inside = blocks ?? Float32Array.of(beside === null ? scales[0]! : 1);
        expectEqual(path, name, await file.readFloat32(name), (at) =>
          Math.fround(values[at]! * inside[Math.floor(at / perBlock)]!),
        );
        if (beside !== null) {
          const expected = inBlocks ? Float32Array.of(tensor.padded?.factor ?? 1) : scales;
          expectedTensors += 1;
          expectEqual(path, beside.name, await file.readFloat32(beside.name), (at) => expected[at]!);
          bodyBytes += expected.byteLength;
        }
        const padding =
          values.length - (tensor.padded?.from ?? tensor.shape).reduce((product, size) => product * size, 1);
        ternaryTensors += 1;
        weights += values.length - padding;
        zeros -= padding;
        for (const value of values) if (value === 0) zeros += 1;
      } else if (type === 'Q8_0' || type === 'Q6_K' || type === 'Q4_0')
        largestLoss = Math.max(largestLoss, await checkLossy(file, tensor, type, source));
      else {
        const wanted = await plannedValues(tensor, source);
        const rounded = type === 'F16' ? decodeF16(encodeF16(wanted)) : wanted;
        expectEqual(path, name, await file.readFloat32(name), (at) => rounded[at]!);
      }
      if (tensor.kind === 'linear') bodyBytes += file.tensors.get(name)!.bytes ?? 0;
    }
    if (file.tensors.size !== expectedTensors)
      throw new TritsmithError('damaged', 'export.tensor-count', {
        path,
        count: file.tensors.size,
        expected: expectedTensors,
      });
  } finally {
    await file.close();
  }
  return {
    tensors: expectedTensors,
    bodyBytes,
    ternaryTensors,
    zeroFraction: weights === 0 ? 0 : zeros / weights,
    largestLoss,
  };
}
