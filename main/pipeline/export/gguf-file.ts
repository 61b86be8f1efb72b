/** Writes a model as a GGUF file and proves the file by reading it back. */
import { stat } from 'node:fs/promises';
import { native } from '../../native/index.ts';
import { TritsmithError } from '../contract/errors.ts';
import {
  float32,
  type GgufMetadata,
  type GgufTensorToWrite,
  type GgufValue,
  openGguf,
  packI2s,
  string,
  tokenizerMetadata,
  uint32,
  writeGguf,
} from '../formats/gguf/index.ts';
import { decodeF16, encodeF16 } from '../formats/half-precision.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import type { ParameterBuffer } from '../models/parameters.ts';
import { type GgufPlan, type GgufTensorPlan, permuteRotaryRows, planGguf } from './gguf-layout.ts';

/** How linear layers are stored: ternary I2_S (students) or F16 (full-precision models). */
export type LinearType = 'i2_s' | 'f16';

export interface GgufExport {
  readonly path: string;
  readonly architecture: string;
  /** Bytes of the linear layers alone, and of the whole file. */
  readonly bodyBytes: number;
  readonly fileBytes: number;
  /** Tensors that were read back and found equal. */
  readonly checkedTensors: number;
  readonly notes: readonly string[];
}

/** `general.file_type`: 36 + 4 is bitnet.cpp's number for I2_S, 1 is mostly F16 (FORMATS.md). */
const fileType: Record<LinearType, number> = { i2_s: 40, f16: 1 };

function metadataOf(
  name: string,
  plan: GgufPlan,
  type: LinearType,
  tokenizer: ReadonlyMap<string, GgufValue>,
): GgufMetadata {
  const prefix = plan.architecture;
  return new Map<string, GgufValue>([
    ['general.architecture', string(plan.architecture)],
    ['general.name', string(name)],
    ['general.file_type', uint32(fileType[type])],
    ...Object.entries(plan.integers).map(([key, value]): [string, GgufValue] => [`${prefix}.${key}`, uint32(value)]),
    ...Object.entries(plan.floats).map(([key, value]): [string, GgufValue] => [`${prefix}.${key}`, float32(value)]),
    ...tokenizer,
  ]);
}

/** A ternary matrix as the student computes with it: values in {-1, 0, 1} and the scale of a +1. */
function ternaryOf(latent: Float32Array): { values: Float32Array; delta: number } {
  const values = new Float32Array(latent.length);
  const { delta } = native.quantiseTernary(latent, values);
  return { values, delta };
}

function sourceValues(tensor: GgufTensorPlan, parameters: ParameterBuffer): Float32Array {
  return typeof tensor.source === 'string' ? parameters.view(tensor.source) : tensor.source;
}

function rotaryOrder(tensor: GgufTensorPlan, values: Float32Array): Float32Array {
  return tensor.permuteHeads === null ? values : permuteRotaryRows(values, tensor.permuteHeads, tensor.shape[1]!);
}

function tensorToWrite(
  tensor: GgufTensorPlan,
  parameters: ParameterBuffer,
  type: LinearType,
  embedding: 'f16' | 'f32',
): GgufTensorToWrite {
  const { name, shape, kind } = tensor;
  const values = (): Float32Array => sourceValues(tensor, parameters);
  if (kind === 'norm') return { name, shape, type: 'F32', data: values };
  if (kind === 'embedding')
    return embedding === 'f32'
      ? { name, shape, type: 'F32', data: values }
      : { name, shape, type: 'F16', data: () => encodeF16(values()) };
  if (type === 'f16') return { name, shape, type: 'F16', data: () => encodeF16(rotaryOrder(tensor, values())) };
  return {
    name,
    shape,
    type: 'I2_S',
    data: () => {
      const ternary = ternaryOf(values());
      return packI2s(rotaryOrder(tensor, ternary.values), shape[0]!, shape[1]!, ternary.delta);
    },
  };
}

/** What a tensor must dequantise to. */
function expectedValues(
  tensor: GgufTensorPlan,
  parameters: ParameterBuffer,
  type: LinearType,
  embedding: 'f16' | 'f32',
): Float32Array {
  const values = sourceValues(tensor, parameters);
  if (tensor.kind === 'norm' || (tensor.kind === 'embedding' && embedding === 'f32')) return values;
  if (tensor.kind === 'embedding') return decodeF16(encodeF16(values));
  if (type === 'f16') return decodeF16(encodeF16(rotaryOrder(tensor, values)));
  const { values: ternary, delta } = ternaryOf(values);
  const scale = Math.fround(delta);
  return rotaryOrder(
    tensor,
    ternary.map((value) => value * scale),
  );
}

/** Reads the file back and compares every tensor with the model. @throws TritsmithError `damaged` at the first difference */
async function verify(
  path: string,
  plan: GgufPlan,
  parameters: ParameterBuffer,
  type: LinearType,
  embedding: 'f16' | 'f32',
  onTensor: (done: number) => Promise<void>,
): Promise<{ bodyBytes: number }> {
  const file = await openGguf(path);
  let bodyBytes = 0;
  try {
    if (file.tensors.size !== plan.tensors.length)
      throw new TritsmithError(
        'damaged',
        `${path} holds ${file.tensors.size} tensors instead of ${plan.tensors.length}.`,
      );
    for (const [index, tensor] of plan.tensors.entries()) {
      const actual = await file.readFloat32(tensor.name);
      const expected = expectedValues(tensor, parameters, type, embedding);
      if (actual.length !== expected.length || actual.some((value, at) => value !== expected[at]))
        throw new TritsmithError('damaged', `Tensor ${tensor.name} of ${path} is not what was written.`, {
          reason: 'The exported file was read back and compared with the model.',
          remedy: 'Check the disk, then export again.',
        });
      if (tensor.kind === 'linear') bodyBytes += file.tensors.get(tensor.name)!.bytes ?? 0;
      await onTensor(index + 1);
    }
  } finally {
    await file.close();
  }
  return { bodyBytes };
}

/**
 * Writes `path` whole or not at all, then reads it back.
 * @param source folder whose tokenizer goes into the file
 * @param onTensor called with the tensors done out of twice the number of tensors (written, checked); may throw to stop
 * @throws TritsmithError `unsupported` for a model that the format can't hold
 */
export async function exportGguf(
  path: string,
  name: string,
  source: string,
  configuration: ModelConfiguration,
  parameters: ParameterBuffer,
  type: LinearType,
  embedding: 'f16' | 'f32',
  onTensor: (done: number, total: number) => Promise<void> = () => Promise.resolve(),
): Promise<GgufExport> {
  const plan = planGguf(configuration);
  const tokenizer = await tokenizerMetadata(source, configuration.vocabSize);
  const total = plan.tensors.length * 2;
  let written = 0;
  const tensors = plan.tensors.map((tensor): GgufTensorToWrite => {
    const prepared = tensorToWrite(tensor, parameters, type, embedding);
    return {
      ...prepared,
      data: async () => {
        await onTensor((written += 1), total);
        return prepared.data();
      },
    };
  });
  await writeGguf(path, metadataOf(name, plan, type, tokenizer.entries), tensors);
  const { bodyBytes } = await verify(path, plan, parameters, type, embedding, (done) =>
    onTensor(plan.tensors.length + done, total),
  );
  return {
    path,
    architecture: plan.architecture,
    bodyBytes,
    fileBytes: (await stat(path)).size,
    checkedTensors: plan.tensors.length,
    notes: [...plan.notes, ...tokenizer.warnings],
  };
}
