/** Small random models of every family, with widths that every tensor type can hold. For tests. */
import { fileURLToPath } from 'node:url';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { initialParameters } from '../../models/initial-parameters.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { Random } from '../../training/random.ts';

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
