/** Runs the experiments of the fidelity benchmark in a workspace of its own, or finds them there: what is done is not done again. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Recipe, recipeSchema } from '../../main/contract/recipe.ts';
import type { ExperimentRecord } from '../../main/contract/experiments.ts';
import type { ModelEvaluation } from '../../main/contract/results.ts';
import { agreement } from '../../main/evaluation/agreement.ts';
import { classifyRows } from '../../main/evaluation/answer-classes.ts';
import { writeFileAtomically } from '../../main/basics/atomic-file.ts';
import { forkPort } from '../../main/jobs/fork-port.ts';
import { modelConfiguration, modelTokenizer } from '../../main/models/open-model.ts';
import { onGraphEngine } from '../../main/pipeline/evaluate/evaluate.ts';
import type { TrainedModel } from '../../main/contract/model-names.ts';
import { trainedModelFolders } from '../../main/experiment/folder.ts';
import { readEvaluation } from '../../main/experiment/results.ts';
import { classifierEvaluation } from '../../main/pipeline/evaluate/evaluations.ts';
import { prepareTask, type PreparedTask } from '../../main/pipeline/task/task-data.ts';
import { runExperiment } from '../../main/workbench/experiments/run-experiment.ts';
import type { Workspace } from '../../main/workbench/workspace/workspace.ts';

/** One model's scores on one set of rows. */
export interface Score {
  /** Accuracy, or mean ROUGE-L. */
  readonly value: number;
  readonly rows: number;
  /** Cross-entropy of the right answer, nats per token. */
  readonly crossEntropy: number;
  /** Share of rows with the teacher's answer; null for generated text. */
  readonly agreement: number | null;
  /** Right or wrong, row by row, for paired tests; empty for generated text. */
  readonly right: readonly boolean[];
}

export interface FinishedRun {
  readonly experiment: string;
  readonly seed: number;
  readonly folder: string;
  readonly seconds: number;
  readonly dev: ReadonlyMap<TrainedModel, Score>;
  readonly tail: ReadonlyMap<TrainedModel, Score>;
}

/** The experiment of exactly this recipe, in whatever state. */
export const storedExperiment = (workspace: Workspace, recipe: Recipe): ExperimentRecord | undefined =>
  workspace.experiments
    .list()
    .find((record) => record.name === recipe.name && isDeepStrictEqual(record.recipe, recipe));

/** Whether this recipe's experiment has been run to its end, so that its scores cost next to nothing. */
export const isFinished = (workspace: Workspace, recipe: Recipe): boolean =>
  storedExperiment(workspace, recipeSchema.parse(recipe))?.state === 'done';

/** The experiment of this recipe, run to its end now unless it is there. Errors of a stage come through. */
async function finishedExperiment(workspace: Workspace, recipe: Recipe): Promise<{ id: string; seconds: number }> {
  const found = storedExperiment(workspace, recipe);
  const record =
    found?.state === 'done' ? found : await runExperiment(workspace, found?.id ?? recipe, { port: forkPort() });
  if (record.state !== 'done') throw new Error(`The experiment ${record.id} ended ${record.state}.`);
  return { id: record.id, seconds: record.stages.reduce((sum, { seconds }) => sum + seconds, 0) };
}

const prepared = new Map<string, Promise<PreparedTask>>();

/** Tokenised rows; kept, because all runs of a seed share them. */
export function taskRows(recipe: Recipe, dev: string | undefined): Promise<PreparedTask> {
  const key = JSON.stringify([recipe.task, dev, recipe.seed]);
  let found = prepared.get(key);
  if (!found) {
    found = (async () => {
      const { vocabSize } = await modelConfiguration(recipe.teacher);
      const tokenizer = await modelTokenizer(recipe.teacher, { vocabSize });
      return prepareTask({ ...recipe.task, ...(dev === undefined ? {} : { dev }) }, tokenizer, recipe.seed);
    })();
    prepared.set(key, found);
  }
  return found;
}

interface StoredScores {
  readonly predictions: readonly number[];
  readonly crossEntropy: number;
}

/** Classifies rows with a model of an experiment; the answers are kept beside the experiment's own evaluations. */
async function classify(folder: string, model: TrainedModel, path: string, task: PreparedTask): Promise<StoredScores> {
  const file = join(folder, 'evaluations', `tail-${model}.json`);
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as StoredScores;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const labels = task.labels!;
  const prompts = task.dev.map(({ prompt }) => prompt);
  const found = await onGraphEngine(path, 1, (network, head) => classifyRows(network, head, prompts, labels.ids));
  const { predictions, crossEntropy } = classifierEvaluation(model, task, labels, found);
  const scores = { predictions, crossEntropy };
  await writeFileAtomically(file, `${JSON.stringify(scores)}\n`);
  return scores;
}

function scoreOf(stored: StoredScores, task: PreparedTask, teacher: StoredScores): Score {
  const right = stored.predictions.map((predicted, row) => predicted === task.dev[row]!.label);
  return {
    value: right.filter(Boolean).length / right.length,
    rows: right.length,
    crossEntropy: stored.crossEntropy,
    agreement: agreement(teacher.predictions, stored.predictions).share,
    right,
  };
}

function evaluationScore(found: ModelEvaluation, task: PreparedTask): Score {
  return {
    value: found.value,
    rows: found.rows,
    crossEntropy: found.crossEntropy,
    agreement: task.labels === null ? null : (found.scores.agreementWithTeacher ?? null),
    right: found.predictions.map((predicted, row) => predicted === task.dev[row]!.label),
  };
}

/**
 * Trains (or finds) one recipe's models and scores them.
 * @param tail file with further rows, kept out of training; classification only
 */
export async function finishedRun(workspace: Workspace, input: Recipe, tail: string | undefined): Promise<FinishedRun> {
  const recipe = recipeSchema.parse(input);
  const { id, seconds } = await finishedExperiment(workspace, recipe);
  const folder = workspace.experimentFolder(id);
  const devRows = await taskRows(recipe, undefined);
  const dev = new Map<TrainedModel, Score>();
  const tailScores = new Map<TrainedModel, Score>();
  const models = trainedModelFolders(folder, recipe);
  for (const { name } of models) {
    const found = readEvaluation(folder, name);
    if (found) dev.set(name, evaluationScore(found, devRows));
  }
  if (tail !== undefined) {
    const tailRows = await taskRows(recipe, tail);
    const stored = new Map<TrainedModel, StoredScores>();
    for (const { name, path } of models) stored.set(name, await classify(folder, name, path, tailRows));
    for (const [name, scores] of stored) tailScores.set(name, scoreOf(scores, tailRows, stored.get('teacher')!));
  }
  return { experiment: id, seed: recipe.seed, folder, seconds, dev, tail: tailScores };
}
