/** Presets: complete recipes from a teacher, a task and one word. */
import { basename } from 'node:path';
import type { PresetInputs, PresetName } from '../../contract/queries.ts';
import { type Recipe, recipeSchema, type RecipeInput } from '../../contract/recipe.ts';
import { readFolderConfiguration } from '../../models/model-folder.ts';
import { countParameters } from '../../models/parameters.ts';
import { corpusSize } from './corpus-size.ts';
import { defaultAnswerTokens } from '../task/task-data.ts';

/**
 * Learning rate by model size: 3e-3 at 0.65 M parameters (measured on story-656k) and 5e-5 at 0.6 B (the paper's), a straight line
 * between them in logarithms.
 */
export function learningRateFor(parameters: number): number {
  const exponent = Math.log(3e-3 / 5e-5) / Math.log(596e6 / 656e3);
  const rate = 3e-3 * (656e3 / parameters) ** exponent;
  return Number(Math.min(3e-3, Math.max(1e-5, rate)).toPrecision(2));
}

/** Most tokens that Stage 2 reads of a corpus. */
const mostPretrainTokens: Record<PresetName, number> = { quick: 0, balanced: 50_000_000, paper: 10_000_000_000 };

/** `gammaRatio` for a student that starts from the fine-tuned teacher; docs/results.md, "sst2: what was tried", compares ratios. */
const attentionShareFromTeacher = 0.1;

/** Builds the recipe that a preset stands for; every setting in it can be changed afterwards. */
export async function recipeFromPreset(preset: PresetName, inputs: PresetInputs): Promise<Recipe> {
  const configuration = await readFolderConfiguration(inputs.teacher);
  const learningRate = learningRateFor(countParameters(configuration).total);
  const paper = preset === 'paper';
  const generation = inputs.kind === 'generation';
  const epochs = preset === 'quick' ? 1 : preset === 'balanced' ? 2 : 3;
  const optimiser = { learningRate, ...(paper ? { schedule: 'cosine' as const } : {}) };
  const maxLength = Math.min(512, configuration.maxPositions);
  const tokens =
    inputs.corpus === undefined
      ? 0
      : Math.min(mostPretrainTokens[preset], Math.floor((await corpusSize(inputs.corpus)) / 4));
  const recipe: RecipeInput = {
    name: inputs.name ?? `${basename(inputs.train).replace(/\.[^.]+$/, '')} with ${basename(inputs.teacher)}`,
    preset,
    seed: inputs.seed ?? 1,
    teacher: inputs.teacher,
    task: {
      name: basename(inputs.train),
      kind: inputs.kind,
      train: inputs.train,
      ...(inputs.dev === undefined ? {} : { dev: inputs.dev }),
      textColumns: inputs.textColumns,
      labelColumn: inputs.labelColumn,
      maxLength,
      maxNewTokens: defaultAnswerTokens(maxLength),
      ...(inputs.limit === undefined ? {} : { limit: inputs.limit }),
    },
    finetune: { epochs, optimiser },
    refine: { subln: 'paper', sublnInit: paper ? 'ones' : 'calibrated', dropQkvBias: configuration.qkvBias },
    pretrain:
      inputs.corpus === undefined || tokens === 0
        ? null
        : {
            corpus: inputs.corpus,
            tokens,
            sequenceLength: Math.min(256, maxLength),
            optimiser: { ...optimiser, batchSize: 16 },
          },
    distil: {
      epochs,
      optimiser,
      lambda: generation ? 1 : 10,
      gamma: paper ? (generation ? 1e3 : 1e5) : 'balanced',
      ...(paper ? {} : { gammaRatio: attentionShareFromTeacher }),
      layer: paper ? Math.round(configuration.layers * 0.8) - 1 : -1,
      studentInit: paper ? 'base' : 'teacher',
    },
    ...(inputs.exports ? { exports: inputs.exports.map((type) => ({ type })) } : {}),
  };
  return recipeSchema.parse(recipe);
}
