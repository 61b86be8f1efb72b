/** What models take that are not here yet, or that only an example is made of: from their configuration alone. */
import type { DiskTerm, MemoryTerm, ModelForecast } from '../../contract/estimates.ts';
import type { RemoteModel } from '../../contract/queries.ts';
import { parseConfiguration } from '../../models/architectures/index.ts';
import { type ModelConfiguration, plainDecoder } from '../../models/configuration.ts';
import { countParameters } from '../../models/parameters.ts';
import { stepMemory } from '../../training/step-memory.ts';
import { checkpointBytes, modelBytes } from './estimate.ts';

/** As the recipe's defaults have them. */
const usualMicroBatch = 4096;
const usualRow = 512;

/** Memory to distil a model from itself with the settings that nobody changed. */
export function distillationMemory(base: ModelConfiguration, tokens = usualMicroBatch): MemoryTerm[] {
  const rowLength = Math.min(usualRow, base.maxPositions);
  return stepMemory({
    model: { ...base, ternary: true, subln: 'paper' },
    teacher: base,
    rows: Math.max(1, tokens / rowLength),
    rowLength,
    headRows: tokens,
    recompute: false,
  });
}

/** The same of a model on the Hub. @throws TritsmithError `unsupported` as `foreseeTeacher` says on its card */
export function foreseeMemory({ configuration }: RemoteModel): MemoryTerm[] {
  return distillationMemory(parseConfiguration(configuration));
}

/** What a run with every stage takes on the disk for models, and for the checkpoints of one stage at a time. */
function runDisk(base: ModelConfiguration): DiskTerm[] {
  const parameters = countParameters(base).total;
  const bytesEach = checkpointBytes({});
  const stages = ['finetune', 'pretrain', 'distil', 'baseline'] as const;
  return [
    {
      id: 'checkpoint-files',
      bytes: 2 * parameters * bytesEach,
      params: { stage: 'distil', generations: 2, parameters, bytesEach },
    },
    ...(['refine', ...stages] as const).map((stage): DiskTerm => {
      const params = { stage, parameters, bytesEach: modelBytes, tokenizerBytes: 0 };
      return { id: 'model', bytes: parameters * modelBytes, params };
    }),
  ];
}

/** What all published Qwen3 models share. */
export const qwen3 = {
  ...plainDecoder,
  architecture: 'qwen3',
  vocabSize: 151_936,
  kvHeads: 8,
  headSize: 128,
  rmsNormEpsilon: 1e-6,
  ropeTheta: 1e6,
  maxPositions: 40_960,
  tiedEmbeddings: true,
  qkNorm: 'head',
  ternary: false,
  subln: 'none',
} as const;

/** Published models, smallest first. */
export const publishedModels: readonly { name: string; configuration: ModelConfiguration }[] = [
  { name: 'Qwen3-0.6B', configuration: { ...qwen3, layers: 28, hiddenSize: 1024, ffnSize: 3072, heads: 16 } },
  { name: 'Qwen3-1.7B', configuration: { ...qwen3, layers: 28, hiddenSize: 2048, ffnSize: 6144, heads: 16 } },
  { name: 'Qwen3-4B', configuration: { ...qwen3, layers: 36, hiddenSize: 2560, ffnSize: 9728, heads: 32 } },
  {
    name: 'Qwen3-8B',
    configuration: { ...qwen3, layers: 36, hiddenSize: 4096, ffnSize: 12_288, heads: 32, tiedEmbeddings: false },
  },
];

/** What published models take to be distilled, one row of 512 tokens at a time: the smallest step that the presets make. */
export function forecastPublished(): ModelForecast[] {
  return publishedModels.map(({ name, configuration }) => ({
    name,
    memory: distillationMemory(configuration, usualRow),
    disk: runDisk(configuration),
  }));
}
