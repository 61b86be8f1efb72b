/** Writes a model as a Hugging Face folder. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { companionFiles } from '../contract/companion-files.ts';
import { plainQuantisation } from '../contract/quantisation.ts';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { encodeBf16 } from '../formats/half-precision.ts';
import { writeSafetensors } from '../formats/safetensors/index.ts';
import { architectureOf } from './architectures/index.ts';
import { type Companions, copyCompanion } from './companion-files.ts';
import type { ModelConfiguration } from './configuration.ts';
import { settingsOfLayers } from './kept-layers.ts';
import { modelCompanions } from './open-model.ts';
import { headName, type ParameterSpecification } from './parameters.ts';
import { storedTensors, storedValues } from './stored-parameters.ts';

/** config.json of a model that was made from the one in `source`: its settings with ours on top. */
async function derivedConfig(
  source: Companions,
  configuration: ModelConfiguration,
  dtype: 'F32' | 'BF16',
  kept: readonly number[] | null,
): Promise<string> {
  const whole = await source.settings('config.json');
  const original = kept === null ? whole : settingsOfLayers(whole, kept);
  const { ternary, subln, qkvBias, quantisation } = configuration;
  const own = isDeepStrictEqual(quantisation, plainQuantisation) ? {} : { quantisation };
  const { className, modelType, settings } = architectureOf(configuration.architecture);
  const derived = {
    ...(settings?.(original) ?? original),
    model_type: modelType,
    architectures: [className],
    tie_word_embeddings: configuration.tiedEmbeddings,
    torch_dtype: dtype === 'BF16' ? 'bfloat16' : 'float32',
    ...(ternary || subln !== 'none' ? { tritsmith: { ternary, subln, qkvBias, ...own } } : {}),
  };
  return `${JSON.stringify(derived, null, 2)}\n`;
}

/** The parameters of a model, in memory or read when their turn comes. */
export interface ParameterSource {
  readonly specifications: readonly ParameterSpecification[];
  view(name: string): Float32Array | Promise<Float32Array>;
}

/**
 * Writes a model folder: weights in float32 or bfloat16 (latent weights for a ternary student), configuration, and the tokenizer files of
 * `source`, a folder or a GGUF file, of whose layers the model has those that are `kept` (null: all). Weights go last, so a folder with weights is a complete one.
 */
export async function saveModelFolder(
  folder: string,
  source: string,
  configuration: ModelConfiguration,
  parameters: ParameterSource,
  { dtype = 'F32', kept = null }: { dtype?: 'F32' | 'BF16'; kept?: readonly number[] | null } = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const companions = await modelCompanions(source);
  for (const name of [...companionFiles, 'generation_config.json'])
    if (companions.names.has(name) && source !== folder) await copyCompanion(companions, folder, name);
  const config = await derivedConfig(companions, configuration, dtype, kept);
  await writeFileAtomically(join(folder, 'config.json'), config);
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    storedTensors(parameters.specifications).map((tensor) => ({
      name: tensor.name,
      dtype,
      shape: tensor.shape,
      data: async () => {
        const parts = new Map<string, Float32Array>();
        for (const { name } of tensor.parts) parts.set(name, await parameters.view(name));
        const values = storedValues(tensor, (name) => parts.get(name)!);
        return dtype === 'BF16' ? encodeBf16(values) : values;
      },
    })),
    { format: 'pt', ...(configuration.tiedEmbeddings ? { 'lm_head.weight': headName(configuration) } : {}) },
  );
}
