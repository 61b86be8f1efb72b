/** Writes a student as a Hugging Face folder (`quant_method: "bitnet"`, offline autobitlinear) and reads it back. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { tell } from '../../contract/messages/told.ts';
import { companionFiles } from '../../contract/companion-files.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExportCheck } from '../../contract/results.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import type { JsonObject } from '../../basics/bounded-json.ts';
import { decodeF16, encodeF16 } from '../../formats/half-precision.ts';
import { openSafetensors, type TensorToWrite, writeSafetensors } from '../../formats/safetensors/index.ts';
import { architectureOf } from '../../models/architectures/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { type Companions, copyCompanion } from '../../models/companion-files.ts';
import { modelCompanions } from '../../models/open-model.ts';
import { unpackRows } from '../../models/ternary-codes.ts';
import { type HuggingFacePlan, packRows, planHuggingFace } from './hugging-face-layout.ts';
import { obsoleteTokenizerFiles } from './pruned-tokenizer.ts';
import { readTernary, type TensorSource } from './tensor-source.ts';

export interface HuggingFaceModel {
  readonly configuration: ModelConfiguration;
  readonly tensors: TensorSource;
  /** Model with the base's config.json and the tokenizer files: a folder or a GGUF file. */
  readonly source: string;
  /** Files to write instead of those of `source`, by name (a pruned tokenizer). */
  readonly replacedFiles?: Readonly<Record<string, string>>;
  /** README.md. */
  readonly card: string;
}

export interface HuggingFaceExport {
  readonly bodyBytes: number;
  readonly fileBytes: number;
  readonly zeroFraction: number;
  readonly checks: readonly ExportCheck[];
}

/** A packed matrix by the name of its parameter. */
async function ternary(
  source: TensorSource,
  { tensors, quantisation }: HuggingFacePlan,
  name: string,
): Promise<{ values: Float32Array; delta: number }> {
  const { shape } = tensors.find((tensor) => tensor.kind === 'packed' && tensor.source === name)!;
  const { values, scales } = await readTernary(source, name, shape, quantisation);
  return { values, delta: scales[0]! };
}

async function denseValues(
  source: TensorSource,
  plan: HuggingFacePlan,
  tensor: HuggingFacePlan['tensors'][number],
): Promise<Float32Array> {
  const { shape, times = 1, dividedByScaleOf, plus = 0 } = tensor;
  const values = tensor.source === null ? new Float32Array(shape[0]!).fill(1) : await source.read(tensor.source);
  const divisor = dividedByScaleOf === undefined ? 1 : (await ternary(source, plan, dividedByScaleOf)).delta;
  return times === 1 && divisor === 1 && plus === 0 ? values : values.map((value) => (value * times) / divisor + plus);
}

function tensorsToWrite(plan: HuggingFacePlan, source: TensorSource, embedding: 'F16' | 'F32'): TensorToWrite[] {
  return plan.tensors.flatMap((tensor): TensorToWrite[] => {
    const { name, shape, kind } = tensor;
    if (kind === 'norm') return [{ name, shape, dtype: 'F32', data: () => denseValues(source, plan, tensor) }];
    if (kind === 'embedding') {
      const data = async (): Promise<ArrayBufferView> => {
        const values = await denseValues(source, plan, tensor);
        return embedding === 'F16' ? encodeF16(values) : values;
      };
      return [{ name, shape, dtype: embedding, data }];
    }
    const [rows, columns] = shape as [number, number];
    return [
      {
        name,
        shape: [rows / 4, columns],
        dtype: 'U8',
        data: async () => packRows((await ternary(source, plan, tensor.source!)).values, rows, columns),
      },
      {
        name: `${name}_scale`,
        shape: [1],
        dtype: 'F32',
        data: async () => Float32Array.of((await ternary(source, plan, tensor.source!)).delta),
      },
    ];
  });
}

const asText = (settings: object): string => `${JSON.stringify(settings, null, 2)}\n`;

async function generationConfig(source: Companions): Promise<string> {
  if (source.names.has('generation_config.json')) return asText(await source.settings('generation_config.json'));
  const config = await source.settings('config.json');
  const ids = ['bos_token_id', 'eos_token_id', 'pad_token_id'].filter((key) => config[key] !== undefined);
  return asText(Object.fromEntries(ids.map((key) => [key, config[key]])));
}

/** The base's settings with the plan's on top; rotary ones that the plan replaces are left out under their older name. */
function configOf(base: JsonObject, { architecture }: ModelConfiguration, plan: HuggingFacePlan): string {
  const { settings, modelType, className } = architectureOf(architecture);
  const own = settings?.(base) ?? base;
  const replaced = plan.settings.rope_parameters !== undefined;
  const kept = Object.entries(own).filter(([key]) => key !== 'tritsmith' && !(replaced && key === 'rope_scaling'));
  return asText({ ...Object.fromEntries(kept), model_type: modelType, architectures: [className], ...plan.settings });
}

function different(path: string, name: string): TritsmithError {
  return new TritsmithError('damaged', 'export.folder-tensor-differs', { path, name });
}

async function readBack(
  path: string,
  plan: HuggingFacePlan,
  source: TensorSource,
  embedding: 'F16' | 'F32',
  onTensor: (done: number) => Promise<void>,
): Promise<{ bodyBytes: number; fileBytes: number; zeroFraction: number; packed: number }> {
  const file = await openSafetensors(path);
  let bodyBytes = 0;
  let fileBytes = 0;
  let zeros = 0;
  let packed = 0;
  try {
    for (const [index, tensor] of plan.tensors.entries()) {
      await onTensor(index);
      const { name, kind } = tensor;
      if (kind === 'packed') {
        const { values, delta } = await ternary(source, plan, tensor.source!);
        const found = unpackRows(await file.readBytes(name));
        if (found.length !== values.length || found.some((value, at) => value !== values[at]))
          throw different(path, name);
        if ((await file.readFloat32(`${name}_scale`))[0] !== delta) throw different(path, `${name}_scale`);
        bodyBytes += values.length / 4 + 4;
        packed += values.length;
        for (const value of values) if (value === 0) zeros += 1;
        continue;
      }
      const values = await denseValues(source, plan, tensor);
      const expected = kind === 'embedding' && embedding === 'F16' ? decodeF16(encodeF16(values)) : values;
      const found = await file.readFloat32(name);
      if (found.length !== expected.length || found.some((value, at) => value !== expected[at]))
        throw different(path, name);
    }
    for (const { end } of file.tensors.values()) fileBytes = Math.max(fileBytes, end);
  } finally {
    await file.close();
  }
  return { bodyBytes, fileBytes, zeroFraction: packed === 0 ? 0 : zeros / packed, packed };
}

/**
 * Writes the folder, which must not exist yet, and reads it back; on failure the caller removes it.
 * @throws TritsmithError `unsupported` for a model that the format can't hold, `damaged` when the read-back differs
 */
export async function writeHuggingFaceFolder(
  folder: string,
  model: HuggingFaceModel,
  embedding: 'F16' | 'F32',
  onProgress: (done: number, total: number) => Promise<void> = () => Promise.resolve(),
): Promise<HuggingFaceExport> {
  const { configuration, tensors, source, replacedFiles = {}, card } = model;
  const plan = planHuggingFace(configuration);
  await mkdir(folder, { recursive: true });
  const companions = await modelCompanions(source);
  const pruned = replacedFiles['tokenizer.json'] !== undefined;
  for (const name of companionFiles)
    if (
      companions.names.has(name) &&
      replacedFiles[name] === undefined &&
      !(pruned && obsoleteTokenizerFiles.includes(name))
    )
      await copyCompanion(companions, folder, name);
  const texts = {
    'generation_config.json': await generationConfig(companions),
    'README.md': card,
    ...replacedFiles,
    'config.json': configOf(
      replacedFiles['config.json'] === undefined
        ? await companions.settings('config.json')
        : (JSON.parse(replacedFiles['config.json']) as JsonObject),
      configuration,
      plan,
    ),
  };
  for (const [name, text] of Object.entries(texts)) await writeFileAtomically(join(folder, name), text);
  const path = join(folder, 'model.safetensors');
  const written = tensorsToWrite(plan, tensors, embedding);
  const total = written.length + plan.tensors.length;
  let done = 0;
  await writeSafetensors(
    path,
    written.map((tensor) => ({
      ...tensor,
      data: async () => {
        await onProgress(done++, total);
        return tensor.data();
      },
    })),
    { format: 'pt' },
  );
  const found = await readBack(path, plan, tensors, embedding, (tensor) => onProgress(written.length + tensor, total));
  return {
    bodyBytes: found.bodyBytes,
    fileBytes: found.fileBytes,
    zeroFraction: found.zeroFraction,
    checks: [
      {
        name: 'tensors',
        passed: true,
        ...tell('proof.folder-tensors', { tensors: written.length }),
        figures: { tensors: written.length },
      },
    ],
  };
}
