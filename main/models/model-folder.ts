/** A model in a Hugging Face folder: configuration and weights in, configuration and weights out. */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { companionFiles } from '../contract/companion-files.ts';
import { TritsmithError } from '../contract/errors.ts';
import { writeFileAtomically } from '../basics/atomic-file.ts';
import { encodeBf16 } from '../formats/half-precision.ts';
import { assertFinite, openCheckpoint, writeSafetensors } from '../formats/safetensors/index.ts';
import { architectureOf, readModelConfiguration } from './architectures/index.ts';
import { copyCompanion, readModelSettings } from './companion-files.ts';
import type { ModelConfiguration } from './configuration.ts';
import { headName, ParameterBuffer, type ParameterSpecification, parameterSpecifications } from './parameters.ts';

/** The folder's configuration, with tied embeddings also where the checkpoint holds no head although the config is silent. */
export async function readFolderConfiguration(folder: string): Promise<ModelConfiguration> {
  const configuration = await readModelConfiguration(folder);
  if (configuration.tiedEmbeddings) return configuration;
  const checkpoint = await openCheckpoint(folder);
  try {
    const tied = !checkpoint.has('lm_head.weight') || checkpoint.aliasOf('lm_head.weight') !== null;
    return tied ? { ...configuration, tiedEmbeddings: true } : configuration;
  } finally {
    await checkpoint.close();
  }
}

/**
 * Loads the weights that `configuration` asks for, tensor by tensor. With a configuration that adds SubLN, its norms are left at 1.
 * @param specifications some of the configuration's parameters, where not all are wanted
 * @throws TritsmithError `bad-input` for a missing tensor, a wrong shape, NaN or infinity
 */
export async function loadParameters(
  folder: string,
  configuration: ModelConfiguration,
  specifications = parameterSpecifications(configuration),
): Promise<ParameterBuffer> {
  const buffer = new ParameterBuffer(specifications);
  const checkpoint = await openCheckpoint(folder);
  try {
    for (const { name, shape, local } of buffer.specifications) {
      const target = buffer.view(name);
      // A tied model may store its one matrix under the head's name only.
      const source =
        !checkpoint.has(name) && local === 'embedding' && configuration.tiedEmbeddings ? 'lm_head.weight' : name;
      if (!checkpoint.has(source)) {
        if (local.endsWith('.subln')) {
          target.fill(1);
          continue;
        }
        throw new TritsmithError('bad-input', 'model.lacks-tensor', {
          folder,
          name,
          architecture: configuration.architecture,
        });
      }
      const stored = checkpoint.shape(source);
      if (stored.join() !== shape.join())
        throw new TritsmithError('bad-input', 'model.tensor-shape', {
          folder,
          name: source,
          shape: [...stored],
          expected: [...shape],
        });
      await checkpoint.readFloat32(source, target);
      assertFinite(source, target);
    }
  } finally {
    await checkpoint.close();
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
  const derived = {
    ...original,
    architectures: [architectureOf(configuration.architecture).className],
    tie_word_embeddings: configuration.tiedEmbeddings,
    torch_dtype: dtype === 'BF16' ? 'bfloat16' : 'float32',
    ...(ternary || subln !== 'none' ? { tritsmith: { ternary, subln, qkvBias } } : {}),
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
 * `source`. Weights go last, so a folder with weights is a complete one.
 */
export async function saveModelFolder(
  folder: string,
  source: string,
  configuration: ModelConfiguration,
  parameters: ParameterSource,
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
    parameters.specifications.map(({ name, shape }) => ({
      name,
      dtype,
      shape,
      data: async () => {
        const values = await parameters.view(name);
        return dtype === 'BF16' ? encodeBf16(values) : values;
      },
    })),
    { format: 'pt', ...(configuration.tiedEmbeddings ? { 'lm_head.weight': headName(configuration) } : {}) },
  );
}
