/** The students whose Hugging Face folders are run in transformers: small ones of every family and placement. */
import type { ModelConfiguration } from '../../../models/configuration.ts';
import { tinyConfiguration, tinyFamilies } from '../../../models/fixtures/tiny-model.ts';

const shape: Partial<ModelConfiguration> = {
  vocabSize: 256,
  hiddenSize: 128,
  heads: 2,
  kvHeads: 1,
  headSize: 64,
  ffnSize: 256,
};
const ropeScaling = {
  kind: 'llama3',
  factor: 8,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 32,
} as const;

const gemma3: Partial<ModelConfiguration> = {
  ...tinyFamilies.gemma3,
  embeddingScale: Math.fround(Math.sqrt(128)),
  layers: 2,
  layerKinds: tinyFamilies.gemma3.layerKinds.slice(1),
};

export const cases: Readonly<Record<string, ModelConfiguration>> = {
  'llama-paper': tinyConfiguration({ ...shape }),
  'llama3-paper-untied': tinyConfiguration({ ...shape, ropeScaling, tiedEmbeddings: false }),
  'llama-all': tinyConfiguration({ ...shape, subln: 'all' }),
  'llama-none': tinyConfiguration({ ...shape, subln: 'none' }),
  'qwen2-paper-bias': tinyConfiguration({ ...shape, architecture: 'qwen2' }),
  'qwen3-paper': tinyConfiguration({ ...shape, architecture: 'qwen3', headSize: 128, rmsNormEpsilon: 1e-3 }),
  'qwen3-all': tinyConfiguration({ ...shape, architecture: 'qwen3', subln: 'all' }),
  'gemma3-paper': tinyConfiguration({ ...shape, ...gemma3 }),
  'gemma3-all': tinyConfiguration({ ...shape, ...gemma3, subln: 'all' }),
  'mistral-paper': tinyConfiguration({ ...shape, ...tinyFamilies.mistral }),
  'smollm3-paper': tinyConfiguration({ ...shape, ...tinyFamilies.smollm3 }),
  'granite-all': tinyConfiguration({ ...shape, ...tinyFamilies.granite, subln: 'all' }),
  'olmo2-all': tinyConfiguration({ ...shape, ...tinyFamilies.olmo2, subln: 'all' }),
};

/** Prompts that every case is asked; the golden file has the logits after the last token of each. */
export const prompts: readonly (readonly number[])[] = [
  [5],
  [7, 200, 31, 90, 14],
  [250, 3, 77, 120, 44, 9, 201, 66, 18, 135, 240, 52],
];
