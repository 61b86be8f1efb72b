/**
 * The one model of what a job costs, for the plan of an experiment and for estimates of its time: floating-point operations, weighted by what they
 * cost beside those of a full-precision step.
 */
import type { TaskSize } from '../../contract/estimates.ts';
import type { JobKind } from '../../contract/jobs.ts';
import type { OptimiserSettings, Recipe } from '../../contract/recipe.ts';
import { type ModelConfiguration, projections, projectionShape } from '../../models/configuration.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import { countParameters } from '../../models/parameters.ts';
import { GammaBalance } from '../../training/gamma-balance.ts';
import { keptOf, taughtBytes } from '../stages/ask-once.ts';
import { cutRows } from '../stages/cut.ts';
import { importancePasses } from '../stages/layer-importance.ts';
import { choosingRows, furtherRows, pretrainSteps, stageSteps, studentConfiguration } from '../models-of-recipe.ts';

/** A ternary step beside a full-precision one: it quantises (docs/results.md, "Memory", the steps of `finetune` and `pretrain`). */
const ternaryStep = 1.15;
/** A step of soft codes in float32: it computes two hyperbolic functions of each weight besides. */
const softStep = 1.3;
const studentStep = ({ soften }: { readonly soften?: number | undefined }): number => (soften ? softStep : ternaryStep);
/** A backward pass costs two forward passes. */
const passesPerStep = 3;
const backwardPasses = 2;
/** Of a step whose gamma is measured: backward passes besides its own. */
const measuringPasses = 2 * backwardPasses;

/** What the cost of a recipe's jobs depends on. */
export interface RecipeShapes {
  readonly teacher: ModelConfiguration;
  readonly student: ModelConfiguration;
}

export async function shapesOf(recipe: Recipe): Promise<RecipeShapes> {
  return {
    teacher: await modelConfiguration(recipe.teacher),
    student: await studentConfiguration(recipe),
  };
}

export interface JobCost {
  readonly kind: JobKind;
  readonly steps: number;
  readonly tokens: number;
  readonly work: number;
}

/** Operations of a forward pass over `tokens` in rows of `rowLength`, with logits for `headRows` of them. */
function forwardWork(model: ModelConfiguration, tokens: number, rowLength: number, headRows: number): number {
  const attention = 2 * model.layers * model.heads * model.headSize * rowLength;
  return 2 * (tokens * (countParameters(model).body + attention) + headRows * model.vocabSize * model.hiddenSize);
}

/** Operations of one token of a full-precision step, which a rehearsal times. */
export function stepWorkPerToken(model: ModelConfiguration, { rows, tokens, answerTokens }: TaskSize): number {
  return passesPerStep * forwardWork(model, 1, tokens / rows, answerTokens / tokens);
}

/** The jobs of a recipe, in the order in which they run. */
export function jobsOf(recipe: Recipe): JobKind[] {
  const { finetune, cut, continueTernary, pretrain, baseline } = recipe;
  return [
    ...(finetune ? ['finetune' as const] : []),
    ...(cut ? ['cut' as const] : []),
    ...(continueTernary ? [] : ['refine' as const]),
    ...(recipe.calibrate ? ['calibrate' as const] : []),
    ...(recipe.reconstruct ? ['reconstruct' as const] : []),
    ...(pretrain ? ['pretrain' as const] : []),
    'distil',
    ...(baseline ? ['baseline' as const] : []),
    'evaluate',
    'export',
    'measure-teacher',
    ...(baseline ? ['measure-baseline' as const] : []),
    'measure-student',
    ...(continueTernary ? [] : ['four-bit' as const]),
  ];
}

/** Optimiser steps of each training stage, as the stages count them; of the reconstruction those of one window. */
export function stepsOf(
  recipe: Recipe,
  { rows }: TaskSize,
): Record<'finetune' | 'reconstruct' | 'pretrain' | 'distil' | 'baseline', number> {
  const { finetune, reconstruct, pretrain, distil, baseline } = recipe;
  const trained = rows - choosingRows(recipe, rows);
  const of = (stage: { epochs: number; steps?: number | undefined; optimiser: OptimiserSettings }): number =>
    stageSteps(stage, Math.ceil(trained / stage.optimiser.batchSize));
  const stage2 = pretrain ? pretrainSteps(pretrain) : 0;
  const answered = trained + furtherRows(recipe);
  const ofStudent = stageSteps(distil, Math.ceil(answered / distil.optimiser.batchSize));
  return {
    finetune: finetune ? of(finetune) : 0,
    reconstruct: reconstruct
      ? stageSteps(
          reconstruct,
          Math.ceil(reconstructionRowCount(reconstruct, answered) / reconstruct.optimiser.batchSize),
        )
      : 0,
    pretrain: stage2,
    distil: ofStudent,
    baseline: baseline ? ofStudent + stage2 : 0,
  };
}

/** Rows that windows are reconstructed on: the task's, and those of the texts if they are as long as the recipe reads them. */
export function reconstructionRowCount(
  { corpus, tokens, sequenceLength }: NonNullable<Recipe['reconstruct']>,
  taskRows: number,
): number {
  return taskRows + (corpus === undefined ? 0 : Math.floor(tokens / sequenceLength));
}

/** Tokens of those rows. */
export function reconstructionTokens(recipe: Recipe, size: TaskSize): number {
  const { reconstruct } = recipe;
  const answered = furtherRows(recipe) * (size.tokens / size.rows);
  return size.tokens + answered + reconstructionRowCount(reconstruct!, 0) * reconstruct!.sequenceLength;
}

/** Tokens of the rows about which the teacher is asked once in Stage 3; null where it is asked in every pass. */
export function rowsToAsk(recipe: Recipe, teacher: ModelConfiguration, size: TaskSize): number | null {
  const rows = size.rows - choosingRows(recipe, size.rows) + furtherRows(recipe);
  const tokens = rows * (size.tokens / size.rows);
  const stepsPerEpoch = Math.ceil(rows / recipe.distil.optimiser.batchSize);
  const { distil: steps } = stepsOf(recipe, size);
  return taughtBytes(recipe.distil, teacher, { tokens, steps, stepsPerEpoch }) === null ? null : tokens;
}

/** Runs of all rows through a layer: in full precision, with absmean's codes, with the chosen ones, and one for each input that is looked at. */
const calibrationPasses = 3 + 4;
/** Roundings of a matrix, of which one is tried for each size of a +1 (`main/training/calibrated-codes.ts`). */
const roundings = 11;
/** An operation in double, one row of eight at a time, beside one of a matrix product in float32. */
const doubleOperation = 4;

/** Second moments, their factor, and the roundings. */
function calibrationWork(model: ModelConfiguration, tokens: number): number {
  const ofLayer = projections.reduce((sum, name) => {
    const [rows, columns] = projectionShape(model, name);
    return sum + columns ** 2 * (tokens + (2 * columns) / 3 + roundings * rows);
  }, 0);
  return doubleOperation * model.layers * ofLayer;
}

/** Steps of `total` in which a balanced gamma is measured. */
function gammaMeasurements(total: number): number {
  const balance = new GammaBalance(1);
  let count = 0;
  for (let step = 1; step <= total; step += 1) if (balance.due(step)) count += 1;
  return count;
}

/** A token that is written beside one that is read, since weights are read for a few tokens only. A guess: it has not been measured. */
const writtenToken = 3;
/** Some attempts are no new row. A guess too. */
const attemptsPerRow = 1.1;

/** Writing and answering the rows that have no label. */
function furtherRowsWork(recipe: Recipe, teacher: ModelConfiguration, size: TaskSize): number {
  const rowLength = size.tokens / size.rows;
  const answering = furtherRows(recipe) * rowLength;
  const { rows, examples } = recipe.teacherWrites ?? { rows: 0, examples: 0 };
  const writing = rows * attemptsPerRow * rowLength;
  return (
    forwardWork(teacher, answering, rowLength, furtherRows(recipe)) +
    forwardWork(teacher, writing * examples, rowLength * (1 + examples), rows) +
    writtenToken * forwardWork(teacher, writing, rowLength * (1 + examples), writing)
  );
}

/** What each job of a recipe costs on a task of this size. */
export function costsOf(recipe: Recipe, { teacher, student }: RecipeShapes, size: TaskSize): JobCost[] {
  const { pretrain, distil, evaluation } = recipe;
  const steps = stepsOf(recipe, size);
  const rowLength = size.tokens / size.rows;
  const answers = size.answerTokens / size.tokens;
  /** Of task steps, the evaluations on the way included. */
  const onTask = (model: ModelConfiguration, count: number, batchSize: number) => {
    const tokens = count * (size.rows / Math.ceil(size.rows / batchSize)) * rowLength;
    const rows = Math.min(evaluation.rowsDuringTraining, size.evaluationRows);
    const evaluations =
      evaluation.everySteps === 0 || recipe.task.kind === 'generation' ? 0 : Math.floor(count / evaluation.everySteps);
    const { keepBest } = recipe;
    const looks = keepBest ? Math.ceil(count / keepBest.everySteps) : 0;
    const choosing = choosingRows(recipe, size.rows);
    return {
      tokens,
      step: (headRows = tokens * answers) => passesPerStep * forwardWork(model, tokens, rowLength, headRows),
      evaluating:
        evaluations * forwardWork(model, rows * rowLength, rowLength, rows) +
        looks * forwardWork(model, choosing * rowLength, rowLength, choosing),
    };
  };
  const costs: Partial<Record<JobKind, Omit<JobCost, 'kind'>>> = {};
  if (recipe.finetune) {
    const { tokens, step, evaluating } = onTask(teacher, steps.finetune, recipe.finetune.optimiser.batchSize);
    costs.finetune = { steps: steps.finetune, tokens, work: step() + evaluating };
  }
  if (recipe.cut) {
    const looked = Math.min(size.rows, cutRows);
    const passes = importancePasses(teacher.layers, recipe.cut.layers) * (looked * rowLength);
    costs.cut = { steps: 0, tokens: passes, work: forwardWork(teacher, passes, rowLength, passes * answers) };
  }
  if (recipe.calibrate) {
    const tokens = Math.min(recipe.calibrate.rows, size.rows) * rowLength;
    costs.calibrate = {
      steps: 0,
      tokens,
      work: calibrationPasses * forwardWork(student, tokens, rowLength, 0) + calibrationWork(student, tokens),
    };
  }
  const { reconstruct } = recipe;
  if (reconstruct) {
    // Each layer is trained in one window: together the windows make as much work as the trunk of the model.
    const all = reconstructionTokens(recipe, size);
    const rows = reconstructionRowCount(reconstruct, size.rows + furtherRows(recipe));
    const tokens = (steps.reconstruct * all) / Math.ceil(rows / reconstruct.optimiser.batchSize);
    costs.reconstruct = {
      steps: steps.reconstruct * Math.ceil(student.layers / reconstruct.window),
      tokens,
      work:
        furtherRowsWork(recipe, teacher, size) +
        passesPerStep * softStep * forwardWork(student, tokens, all / rows, 0) +
        forwardWork(teacher, all, all / rows, 0) +
        forwardWork(student, all, all / rows, 0),
    };
  }
  if (pretrain) {
    const tokens = steps.pretrain * pretrain.sequenceLength * pretrain.optimiser.batchSize;
    const forward = forwardWork(student, tokens, pretrain.sequenceLength, tokens);
    costs.pretrain = { steps: steps.pretrain, tokens, work: passesPerStep * studentStep(pretrain) * forward };
  }
  const { tokens, step, evaluating } = onTask(student, steps.distil, distil.optimiser.batchSize);
  const distils = distil.lambda > 0 || distil.gamma !== 0;
  const headRows = distils && distil.lambda > 0 && distil.logitsTokens === 'all' ? tokens : tokens * answers;
  // Where tokens count by the teacher's opinion of the next one, its head is run once more.
  const teacherRows = distil.lambda > 0 && distil.tokenWeights !== undefined ? 2 * headRows : headRows;
  const asked = distils ? rowsToAsk(recipe, teacher, size) : null;
  const teaching =
    asked === null
      ? forwardWork(teacher, tokens, rowLength, teacherRows)
      : keptOf(distil).top === null
        ? forwardWork(teacher, asked, rowLength, 0) + forwardWork(teacher, 0, rowLength, teacherRows)
        : forwardWork(teacher, asked, rowLength, (asked * headRows) / tokens);
  const measured = distils && distil.gamma === 'balanced' ? gammaMeasurements(steps.distil) / steps.distil : 0;
  costs.distil = {
    steps: steps.distil,
    tokens,
    work:
      step(headRows) * studentStep(distil) * (1 + (measured * measuringPasses) / passesPerStep) +
      (distils ? teaching : 0) +
      (reconstruct ? 0 : furtherRowsWork(recipe, teacher, size)) +
      evaluating,
  };
  if (recipe.baseline) {
    const own = onTask(student, steps.baseline, distil.optimiser.batchSize);
    costs.baseline = { steps: steps.baseline, tokens: own.tokens, work: own.step() * ternaryStep + own.evaluating };
  }
  const reading = (model: ModelConfiguration, share = 1): number =>
    share * forwardWork(model, size.evaluationTokens, size.evaluationTokens / size.evaluationRows, size.evaluationRows);
  costs.evaluate = {
    steps: 0,
    tokens: size.evaluationTokens,
    work: reading(teacher) + reading(student, recipe.baseline ? 2 : 1),
  };
  costs['four-bit'] = { steps: 0, tokens: size.evaluationTokens, work: reading(teacher) };
  return jobsOf(recipe).map((kind) => ({ kind, ...(costs[kind] ?? { steps: 0, tokens: 0, work: 0 }) }));
}
