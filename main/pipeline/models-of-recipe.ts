/** The models that a recipe names: which folder or file, which shape, which tokenizer. */
import { TritsmithError } from '../contract/errors.ts';
import type { JobKind } from '../contract/jobs.ts';
import { activationsOf, inEightBits, keptOf, quantisationOf } from '../contract/quantisation.ts';
import type { OptimiserSettings, Recipe } from '../contract/recipe.ts';
import { readLayerCut } from '../experiment/cut.ts';
import { modelFolder, teacherFolder } from '../experiment/folder.ts';
import type { Tokenizer } from '../formats/tokenizers/index.ts';
import { assertQuantisable, type ModelConfiguration } from '../models/configuration.ts';
import { withLayers } from '../models/kept-layers.ts';
import { modelConfiguration, modelTokenizer, openModel } from '../models/open-model.ts';
import { slower } from '../training/schedule.ts';

/** Tokenizer of the teacher; with a smaller student base, checked to be the same in both. */
export async function recipeTokenizer(recipe: Recipe): Promise<Tokenizer> {
  const { vocabSize } = await modelConfiguration(recipe.teacher);
  const tokenizer = await modelTokenizer(recipe.teacher, { vocabSize });
  if (recipe.studentBase !== undefined) await assertSameTokenizer(recipe.teacher, recipe.studentBase);
  return tokenizer;
}

/** @throws TritsmithError `bad-input` where a student cannot learn from the teacher, because they read other tokens */
export async function assertSameTokenizer(teacher: string, studentBase: string): Promise<void> {
  const [own, other] = await Promise.all([modelTokenizer(teacher), modelTokenizer(studentBase)]);
  if (own.sha256 !== other.sha256) throw new TritsmithError('bad-input', 'recipe.tokenizers-differ');
}

/** Folder that the student's weights come from before it is cut. @param folder of the experiment */
export function uncutSource(recipe: Recipe, folder: string): string {
  if (recipe.distil.studentInit === 'base') return recipe.studentBase ?? recipe.teacher;
  if (recipe.studentBase !== undefined) throw new TritsmithError('bad-input', 'recipe.start-of-another-shape');
  return teacherFolder(folder, recipe);
}

/** Folder that the student's weights come from before Stage 1. @param folder of the experiment */
export function studentSource(recipe: Recipe, folder: string): string {
  return recipe.cut ? modelFolder(folder, 'cut') : uncutSource(recipe, folder);
}

/** Folder of the model that the reconstruction, Stage 2 or 3 begins with. @param folder of the experiment */
export function stageSource(recipe: Recipe, folder: string, stage: 'reconstruct' | 'pretrain' | 'distil'): string {
  if (recipe.pretrain && stage === 'distil') return modelFolder(folder, 'pretrained');
  if (recipe.reconstruct && stage !== 'reconstruct') return modelFolder(folder, 'reconstructed');
  if (recipe.calibrate) return modelFolder(folder, 'calibrated');
  return recipe.continueTernary ? studentSource(recipe, folder) : modelFolder(folder, 'refined');
}

/**
 * A base that is ternary as it comes is trained further or not at all.
 * @throws TritsmithError `bad-input` where recipe and base don't agree, `unsupported` for codes without latent weights
 */
async function assertContinues(recipe: Recipe, path: string, base: ModelConfiguration): Promise<void> {
  if (!base.ternary && !recipe.continueTernary) return;
  if (!base.ternary) throw new TritsmithError('bad-input', 'recipe.not-ternary');
  const { finetune, calibrate, reconstruct, baseline, studentBase, moreRows, teacherWrites } = recipe;
  const learnsFrom = moreRows ?? teacherWrites;
  if (!recipe.continueTernary || finetune || calibrate || reconstruct || baseline || studentBase || learnsFrom)
    throw new TritsmithError('bad-input', 'recipe.ternary-already');
  if (activationsOf(base.quantisation).hadamard !== activationsOf(quantisationOf(recipe.quantisation)).hadamard)
    throw new TritsmithError('bad-input', 'recipe.ternary-hadamard');
  const model = await openModel(path);
  await model.close();
  if (model.weights.ternary === 'codes') throw new TritsmithError('unsupported', 'recipe.only-codes', { path });
}

/** Rows besides the task's own that the student learns from, those included that the teacher will write. */
export function furtherRows({ moreRows, teacherWrites }: Recipe): number {
  return (moreRows?.rows ?? 0) + (teacherWrites?.rows ?? 0);
}

/** Layers that a recipe's cut leaves. @throws TritsmithError `bad-input` where the model has no more than that */
export function assertCut(recipe: Recipe, { layers }: ModelConfiguration): number {
  const keep = recipe.cut?.layers ?? layers;
  if (recipe.cut && keep >= layers) throw new TritsmithError('bad-input', 'recipe.nothing-to-cut', { keep, layers });
  return keep;
}

/**
 * Layers of the student's base that the student has; null: all. Which they are is measured in the job `cut`; before it the first ones stand for
 * them, for estimates.
 * @param folder of the experiment, once it has one
 */
export function keptLayers(recipe: Recipe, base: ModelConfiguration, folder?: string): readonly number[] | null {
  if (!recipe.cut) return null;
  const measured = folder === undefined ? null : readLayerCut(folder);
  return measured?.kept ?? Array.from({ length: assertCut(recipe, base) }, (_, layer) => layer);
}

/**
 * Shape of the student: its base, without the layers that are cut, ternary, with SubLN.
 * @param folder of the experiment, once it has one
 * @throws TritsmithError `bad-input` where the recipe's quantisation does not fit that shape
 */
export async function studentConfiguration(recipe: Recipe, folder?: string): Promise<ModelConfiguration> {
  const source = recipe.studentBase ?? recipe.teacher;
  const base = await modelConfiguration(source);
  await assertContinues(recipe, source, base);
  const kept = keptLayers(recipe, base, folder);
  const student: ModelConfiguration = {
    ...(kept === null ? base : withLayers(base, kept)),
    ternary: true,
    quantisation: quantisationOf(recipe.quantisation),
    subln: base.ternary ? base.subln : recipe.refine.subln,
    qkvBias: base.qkvBias && !recipe.refine.dropQkvBias,
  };
  assertQuantisable(student);
  assertCalibrates(recipe, student);
  assertHardens(recipe, student);
  return student;
}

/** The student as the stages before the last train it: with inputs of 8 bits. Parameters as `studentConfiguration`. */
export async function earlierStudent(recipe: Recipe, folder?: string): Promise<ModelConfiguration> {
  const student = await studentConfiguration(recipe, folder);
  return { ...student, quantisation: inEightBits(student.quantisation) };
}

/** @throws TritsmithError `bad-input` where calibrated codes would not survive the student's own rounding */
function assertCalibrates({ calibrate }: Recipe, { quantisation }: ModelConfiguration): void {
  const { scale, sparsity } = quantisation.weights;
  if (calibrate && activationsOf(quantisation).hadamard)
    throw new TritsmithError('bad-input', 'recipe.calibrate-hadamard', { method: calibrate.method });
  if (calibrate && ((scale !== 'absmean' && scale !== 'learned') || sparsity !== undefined))
    throw new TritsmithError('bad-input', 'recipe.calibrate-quantisation', { method: calibrate.method });
}

/** @throws TritsmithError `bad-input` where codes that are signs would be softened */
function assertHardens({ reconstruct, pretrain, distil }: Recipe, { quantisation }: ModelConfiguration): void {
  const { sparsity } = quantisation.weights;
  const soft = [reconstruct, pretrain, distil].some((stage) => (stage?.soften ?? 0) > 0);
  if (soft && sparsity && keptOf(sparsity).exact) throw new TritsmithError('bad-input', 'recipe.exact-soften');
}

/** Shape of the BitNet-SFT baseline: the base with the student's layers, ternary, nothing else. */
export async function baselineConfiguration(recipe: Recipe, folder?: string): Promise<ModelConfiguration> {
  return { ...(await studentConfiguration(recipe, folder)), subln: 'none' };
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

/**
 * What the terms of Stage 3 ask of the two shapes.
 * @throws TritsmithError `bad-input`
 */
export function checkDistillation({ distil }: Recipe, teacher: ModelConfiguration, student: ModelConfiguration): void {
  relationLayers(distil.layer, teacher.layers, student.layers);
  if (distil.hidden !== undefined && teacher.hiddenSize !== student.hiddenSize)
    throw new TritsmithError('bad-input', 'recipe.widths-differ', {
      teacher: teacher.hiddenSize,
      student: student.hiddenSize,
    });
}

/** Teacher layer (from 0) and the student layer at the same relative depth, for the attention-relation term. */
export function relationLayers(layer: number, teacherLayers: number, studentLayers: number): [number, number] {
  const teacher = layer < 0 ? teacherLayers + layer : layer;
  if (teacher < 0 || teacher >= teacherLayers)
    throw new TritsmithError('bad-input', 'recipe.no-such-layer', { layer, layers: teacherLayers });
  return [teacher, Math.max(0, Math.round(((teacher + 1) / teacherLayers) * studentLayers) - 1)];
}
