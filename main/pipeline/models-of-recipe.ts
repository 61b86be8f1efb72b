/** The models that a recipe names: which folder, which shape, which tokenizer. */
import { TritsmithError } from '../contract/errors.ts';
import type { JobKind } from '../contract/jobs.ts';
import type { OptimiserSettings, Recipe } from '../contract/recipe.ts';
import { loadTokenizer, type Tokenizer } from '../formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { readFolderConfiguration } from '../models/model-folder.ts';
import { slower } from '../training/schedule.ts';

/** Tokenizer of the teacher; with a smaller student base, checked to be the same in both. */
export async function recipeTokenizer(recipe: Recipe): Promise<Tokenizer> {
  const { vocabSize } = await readFolderConfiguration(recipe.teacher);
  const tokenizer = await loadTokenizer(recipe.teacher, { vocabSize });
  if (recipe.studentBase === undefined) return tokenizer;
  const other = await loadTokenizer(recipe.studentBase);
  if (other.sha256 !== tokenizer.sha256) throw new TritsmithError('bad-input', 'recipe.tokenizers-differ');
  return tokenizer;
}

/** Folder that the student's weights come from before Stage 1. */
export function studentSource(recipe: Recipe, teacherFolder: string): string {
  if (recipe.distil.studentInit === 'base') return recipe.studentBase ?? recipe.teacher;
  if (recipe.studentBase !== undefined) throw new TritsmithError('bad-input', 'recipe.start-of-another-shape');
  return teacherFolder;
}

/** Shape of the student: its base, ternary, with SubLN. */
export async function studentConfiguration(recipe: Recipe): Promise<ModelConfiguration> {
  const base = await readFolderConfiguration(recipe.studentBase ?? recipe.teacher);
  return {
    ...base,
    ternary: true,
    subln: recipe.refine.subln,
    qkvBias: base.qkvBias && !recipe.refine.dropQkvBias,
  };
}

/** Shape of the BitNet-SFT baseline: the base, ternary, nothing else. */
export async function baselineConfiguration(recipe: Recipe): Promise<ModelConfiguration> {
  return { ...(await studentConfiguration(recipe)), subln: 'none' };
}

/** Of a task's training rows, those that are set apart to choose the best step with: the last in the order of the seed. */
export function choosingRows({ keepBest }: Pick<Recipe, 'keepBest'>, rows: number): number {
  return keepBest === undefined ? 0 : Math.min(keepBest.rows, Math.floor(rows / 5));
}

/** How the student is optimised in Stage 2 or 3: with lower rates where its layers were reconstructed before. */
export function studentOptimiser({ reconstruct }: Recipe, optimiser: OptimiserSettings): OptimiserSettings {
  return reconstruct ? slower(optimiser, reconstruct.laterRates) : optimiser;
}

/** Whether a stage is to find its codes itself: after a reconstruction Stages 2 and 3 are to keep them. */
export function findsCodes({ reconstruct }: Recipe, stage: JobKind): boolean {
  return reconstruct === undefined || stage === 'reconstruct' || stage === 'baseline';
}

/** Steps of a task stage. */
export function stageSteps(length: { epochs: number; steps?: number | undefined }, stepsPerEpoch: number): number {
  return length.steps ?? Math.max(1, Math.ceil(length.epochs * stepsPerEpoch));
}

/** Steps of Stage 2: tokens over the tokens of a batch. */
export function pretrainSteps(pretrain: NonNullable<Recipe['pretrain']>): number {
  return Math.max(1, Math.ceil(pretrain.tokens / (pretrain.sequenceLength * pretrain.optimiser.batchSize)));
}

/** Teacher layer (from 0) and the student layer at the same relative depth, for the attention-relation term. */
export function relationLayers(layer: number, teacherLayers: number, studentLayers: number): [number, number] {
  const teacher = layer < 0 ? teacherLayers + layer : layer;
  if (teacher < 0 || teacher >= teacherLayers)
    throw new TritsmithError('bad-input', 'recipe.no-such-layer', { layer, layers: teacherLayers });
  return [teacher, Math.max(0, Math.round(((teacher + 1) / teacherLayers) * studentLayers) - 1)];
}
