/** Small random models of every family, with widths that every tensor type can hold. For tests. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { initialParameters } from '../../models/initial-parameters.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { Random } from '../../basics/random.ts';

/** Folder with a tokenizer of 1536 tokens. */
export const tokenizerFolder = fileURLToPath(new URL('../../../resources/demo/teacher', import.meta.url));

export function tinyConfiguration(changes: Partial<ModelConfiguration> = {}): ModelConfiguration {
  const qwen3 = changes.architecture === 'qwen3';
  return {
    architecture: 'llama',
    vocabSize: 1536,
    hiddenSize: 256,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headSize: qwen3 ? 128 : 64,
    ffnSize: 512,
    rmsNormEpsilon: 1e-6,
    ropeTheta: 10_000,
    ropeScaling: null,
    maxPositions: 64,
    tiedEmbeddings: true,
    qkvBias: changes.architecture === 'qwen2',
    qkNorm: qwen3,
    ternary: true,
    subln: 'paper',
    ...changes,
  };
}

/** Weights large enough that logits differ; norms around 1, so that one in the wrong place is seen. */
export function tinyParameters(configuration: ModelConfiguration, seed = 1): ParameterBuffer {
  const random = new Random(seed);
  const parameters = initialParameters(configuration, () => random.normal() * 5);
  for (const { name, shape, local } of parameters.specifications) {
    if (shape.length > 1) continue;
    const values = parameters.view(name);
    const middle = local.endsWith('.bias') ? 0 : 1;
    for (let index = 0; index < values.length; index += 1) values[index] = middle + 0.2 * random.normal();
  }
  return parameters;
}

export function tinyPrompts(count: number, vocabSize: number, seed = 2): Int32Array[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, index) =>
    Int32Array.from({ length: 4 + (index % 13) }, () => 5 + random.below(vocabSize - 5)),
  );
}

/** The config.json that a base model of this shape has. */
export async function writeTinySource(folder: string, configuration: ModelConfiguration): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { architecture, ropeScaling } = configuration;
  const config = {
    model_type: architecture,
    vocab_size: configuration.vocabSize,
    hidden_size: configuration.hiddenSize,
    intermediate_size: configuration.ffnSize,
    num_hidden_layers: configuration.layers,
    num_attention_heads: configuration.heads,
    num_key_value_heads: configuration.kvHeads,
    head_dim: configuration.headSize,
    rms_norm_eps: configuration.rmsNormEpsilon,
    rope_theta: configuration.ropeTheta,
    max_position_embeddings: configuration.maxPositions,
    tie_word_embeddings: configuration.tiedEmbeddings,
    hidden_act: 'silu',
    bos_token_id: 1,
    eos_token_id: 2,
    ...(ropeScaling ? { rope_scaling: { rope_type: 'llama3' } } : {}),
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
}
