/** A model in a Hugging Face folder: configuration and weights in, configuration and weights out. */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { companionFiles } from '../contract/companion-files.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { Told } from '../contract/messages/sentences.ts';
import { tell } from '../contract/messages/told.ts';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { isJsonObject, ownValue } from '../basics/bounded-json.ts';
import { encodeBf16 } from '../formats/half-precision.ts';
import { writeSafetensors } from '../formats/safetensors/index.ts';
import { architectureOf, readModelConfiguration } from './architectures/index.ts';
import { copyCompanion, readModelSettings } from './companion-files.ts';
import type { ModelConfiguration } from './configuration.ts';
import { hubName, trunkClass } from './declared-model.ts';
import { headName, ParameterBuffer, parameterSpecifications } from './parameters.ts';
import { assertWhole, openModelWeights, surplusIn, besideTrunk, tyingOf } from './stored-weights.ts';
import { readStored, storedName, storedTensors, storedValues } from './stored-parameters.ts';

/** What a folder's configuration and weights say together. */
export interface FolderModel {
  readonly configuration: ModelConfiguration;
  /** What is worth knowing of it, though it can be used. */
  readonly findings: readonly Told[];
}

/**
 * Reads configuration and headers of a folder, and holds one against the other.
 * @param original the model from which this one was made, where something beside config.json names it
 * @throws TritsmithError `unsupported` with the reason where the model can't be trained; as `readModelConfiguration` and `openCheckpoint` do
 */
export async function readModelFolder(folder: string, original: string | null = null): Promise<FolderModel> {
  const declared = await readModelConfiguration(folder, original);
  const settings = await readModelSettings(folder, 'config.json');
  const weights = await openModelWeights(folder);
  try {
    assertWhole(weights, original ?? hubName(ownValue(settings, '_name_or_path')));
    const { tied, finding } = await tyingOf(weights, declared, settings);
    const configuration = { ...declared, tiedEmbeddings: tied };
    const surplus = surplusIn(weights, configuration);
    if (surplus.length > 0)
      throw new TritsmithError('unsupported', 'model.surplus', { count: surplus.length, names: surplus.slice(0, 5) });
    const beside = besideTrunk(weights);
    const trunk = trunkClass(settings);
    return {
      configuration,
      findings: [
        ...(finding === null ? [] : [finding]),
        ...(trunk === null ? [] : [tell('teacher.trunk-alone', { className: trunk })]),
        ...(beside.length === 0 ? [] : [tell('teacher.beside', { count: beside.length, names: beside.slice(0, 3) })]),
        ...(isJsonObject(ownValue(settings, 'auto_map')) ? [tell('teacher.own-code')] : []),
      ],
    };
  } finally {
    await weights.close();
  }
}

/** `configuration` of `readModelFolder`. */
export async function readFolderConfiguration(folder: string): Promise<ModelConfiguration> {
  return (await readModelFolder(folder)).configuration;
}

/**
 * Loads the weights that `configuration` asks for, tensor by tensor. With a configuration that adds SubLN, its norms are left at 1.
 * @throws TritsmithError `bad-input` for a missing tensor, a wrong shape, NaN or infinity
 */
export async function loadParameters(folder: string, configuration: ModelConfiguration): Promise<ParameterBuffer> {
  const buffer = new ParameterBuffer(parameterSpecifications(configuration));
  const weights = await openModelWeights(folder);
  try {
    for (const specification of buffer.specifications) {
      const { name, local } = specification;
      const target = buffer.view(name);
      if (weights.has(storedName(weights, specification, configuration)))
        await readStored(weights, specification, configuration, folder, target);
      else if (local.endsWith('.subln')) target.fill(1);
      else
        throw new TritsmithError('bad-input', 'model.lacks-tensor', {
          folder,
          name,
          architecture: configuration.architecture,
        });
    }
  } finally {
    await weights.close();
  }
  return buffer;
}

/** config.json of a model that was made from the one in `source`: its settings with ours on top. */
async function derivedConfig(
  source: string,
  configuration: ModelConfiguration,
  dtype: 'F32' | 'BF16',
): Promise<string> {
  const original = await readModelSettings(source, 'config.json');
  const { ternary, subln, qkvBias } = configuration;
  const { className, modelType, settings } = architectureOf(configuration.architecture);
  const derived = {
    ...(settings?.(original) ?? original),
    model_type: modelType,
    architectures: [className],
    tie_word_embeddings: configuration.tiedEmbeddings,
    torch_dtype: dtype === 'BF16' ? 'bfloat16' : 'float32',
    ...(ternary || subln !== 'none' ? { tritsmith: { ternary, subln, qkvBias } } : {}),
  };
  return `${JSON.stringify(derived, null, 2)}\n`;
}

/**
 * Writes a model folder: weights in float32 or bfloat16 (latent weights for a ternary student), configuration, and the tokenizer files of
 * `source`. Weights go last, so a folder with weights is a complete one.
 */
export async function saveModelFolder(
  folder: string,
  source: string,
  configuration: ModelConfiguration,
  parameters: ParameterBuffer,
  dtype: 'F32' | 'BF16' = 'F32',
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const present = new Set(await readdir(source));
  for (const name of [...companionFiles, 'generation_config.json'])
    if (present.has(name) && source !== folder) await copyCompanion(source, folder, name);
  const config = await derivedConfig(source, configuration, dtype);
  await writeFileAtomically(join(folder, 'config.json'), config);
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    storedTensors(parameters.specifications).map((tensor) => ({
      name: tensor.name,
      dtype,
      shape: tensor.shape,
      data: () => {
        const values = storedValues(tensor, (name) => parameters.view(name));
        return dtype === 'BF16' ? encodeBf16(values) : values;
      },
    })),
    { format: 'pt', ...(configuration.tiedEmbeddings ? { 'lm_head.weight': headName(configuration) } : {}) },
  );
}
