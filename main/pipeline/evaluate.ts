/** Measures teacher, baseline and student on the task's held-out rows, and puts them side by side. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobSpec } from '../contract/jobs.ts';
import type { Recipe } from '../contract/recipe.ts';
import { type ModelEvaluation, modelEvaluation } from '../contract/results.ts';
import { agreement } from '../evaluation/agreement.ts';
import { classifyRows, generateRows } from '../evaluation/answer-classes.ts';
import { corpusBleu } from '../evaluation/bleu.ts';
import { comparePaired } from '../evaluation/mcnemar.ts';
import { rougeOfSet } from '../evaluation/rouge.ts';
import { wilsonInterval } from '../evaluation/wilson.ts';
import { writeFileAtomically } from '../formats/atomic-file.ts';
import type { Tokenizer } from '../formats/tokenizers/index.ts';
import { loadParameters, readFolderConfiguration } from '../models/model-folder.ts';
import { Network } from '../models/network.ts';
import { ScoringHead } from '../models/scoring-head.ts';
import { writeComparison } from './comparison.ts';
import { modelFolder, teacherFolder } from './experiment-folder.ts';
import { type JobContext, JobStopped } from './job.ts';
import { recipeTokenizer } from './models-of-recipe.ts';
import { prepareTask, type PreparedTask } from './task-data.ts';

type ModelName = ModelEvaluation['model'];

/** The models of an experiment with their folders, in the order of the table. */
export function evaluatedModels(folder: string, recipe: Recipe): { name: ModelName; path: string }[] {
  return [
    { name: 'teacher', path: teacherFolder(folder, recipe) },
    ...(recipe.baseline ? [{ name: 'bitnet-sft' as const, path: modelFolder(folder, 'baseline') }] : []),
    { name: 'bitdistill', path: modelFolder(folder, 'student') },
  ];
}

export function evaluationPath(folder: string, model: ModelName): string {
  return join(folder, 'evaluations', `${model}.json`);
}

export async function readEvaluation(folder: string, model: ModelName): Promise<ModelEvaluation | null> {
  try {
    return modelEvaluation.parse(JSON.parse(await readFile(evaluationPath(folder, model), 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Accuracy on the first rows while training, for the trainer; empty when the recipe does not ask for it. */
export function trainingEvaluation(
  recipe: Recipe,
  task: PreparedTask,
): { evaluate?: (network: Network) => Promise<Record<string, number> & { score: number }> } {
  const { everySteps, rowsDuringTraining } = recipe.evaluation;
  const { labels } = task;
  if (everySteps === 0 || rowsDuringTraining === 0 || !labels) return {};
  const rows = task.dev.slice(0, rowsDuringTraining);
  let head: ScoringHead | null = null;
  return {
    evaluate: async (network) => {
      head ??= await ScoringHead.create(network, { threads: recipe.threads });
      const found = await classifyRows(
        network,
        head,
        rows.map(({ prompt }) => prompt),
        labels.ids,
      );
      const right = found.filter(({ predicted }, index) => predicted === rows[index]!.label).length;
      const accuracy = right / rows.length;
      return { accuracy, score: accuracy };
    },
  };
}

async function evaluateModel(
  name: ModelName,
  path: string,
  recipe: Recipe,
  task: PreparedTask,
  tokenizer: Tokenizer,
  onRows: (done: number) => Promise<void>,
): Promise<ModelEvaluation> {
  const configuration = await readFolderConfiguration(path);
  const options = { threads: recipe.threads };
  const network = await Network.create(configuration, await loadParameters(path, configuration), {
    ...options,
    mode: 'inference',
  });
  const head = await ScoringHead.create(network, options);
  const prompts = task.dev.map(({ prompt }) => prompt);
  const rows = prompts.length;
  try {
    if (task.labels) {
      const found = await classifyRows(network, head, prompts, task.labels.ids, onRows);
      const right = found.filter(({ predicted }, index) => predicted === task.dev[index]!.label).length;
      const tokens = task.dev.reduce((sum, { label }) => sum + task.labels!.ids[label]!.length, 0);
      const likelihood = found.reduce((sum, { scores }, index) => sum + scores[task.dev[index]!.label]!, 0);
      return {
        model: name,
        metric: 'accuracy',
        value: right / rows,
        ci95: wilsonInterval(right, rows),
        rows,
        crossEntropy: -likelihood / tokens,
        scores: {},
        predictions: found.map(({ predicted }) => predicted),
      };
    }
    const answers = await generateRows(network, head, prompts, tokenizer.eosId, recipe.task.maxNewTokens, onRows);
    const texts = answers.map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }).trim());
    const references = task.dev.map(({ reference }) => reference);
    const rouge = rougeOfSet(references, texts, { seed: recipe.seed });
    const bleu = corpusBleu(references, texts);
    const likelihood = await referenceLikelihood(network, head, task);
    return {
      model: name,
      metric: 'rougeL',
      value: rouge.rougeL.mean,
      ci95: rouge.rougeL.ci95,
      rows,
      crossEntropy: likelihood,
      scores: {
        rouge1: rouge.rouge1.mean,
        rouge2: rouge.rouge2.mean,
        rougeLsum: rouge.rougeLsum.mean,
        bleu4: bleu.score,
        perplexity: Math.exp(likelihood),
      },
      predictions: [],
    };
  } finally {
    await head.release();
    await network.release();
  }
}

/** Mean cross-entropy of the reference answers, nats per token. */
async function referenceLikelihood(network: Network, head: ScoringHead, task: PreparedTask): Promise<number> {
  let sum = 0;
  let tokens = 0;
  for (const { prompt, referenceIds: answer } of task.dev) {
    if (answer.length === 0) continue;
    const ids = new Int32Array(prompt.length + answer.length);
    ids.set(prompt);
    ids.set(answer, prompt.length);
    const { hidden } = await network.forward({ ids, batch: 1, length: ids.length });
    const positions = Int32Array.from(answer.keys(), (offset) => prompt.length - 1 + offset);
    for (const value of await head.logProbabilities(hidden, positions, answer, 1)) sum -= value;
    tokens += answer.length;
  }
  return sum / Math.max(1, tokens);
}

/** Adds what only a comparison can say: agreement with the teacher and paired tests. */
function withPairedScores(
  own: ModelEvaluation,
  others: readonly ModelEvaluation[],
  gold: readonly number[],
): ModelEvaluation {
  const scores = { ...own.scores };
  for (const other of others) {
    if (other.model === own.model || own.predictions.length === 0) continue;
    const paired = comparePaired(gold, other.predictions, own.predictions);
    scores[`differenceFrom.${other.model}`] = paired.difference;
    scores[`differenceFrom.${other.model}.low`] = paired.ci95[0];
    scores[`differenceFrom.${other.model}.high`] = paired.ci95[1];
    scores[`mcnemarP.${other.model}`] = paired.pValue;
    if (other.model === 'teacher') scores.agreementWithTeacher = agreement(other.predictions, own.predictions).share;
  }
  return { ...own, scores };
}

export async function evaluateModels(
  { recipe, folder }: JobSpec,
  context: JobContext,
): Promise<Record<string, number>> {
  const tokenizer = await recipeTokenizer(recipe, await readFolderConfiguration(recipe.teacher));
  const task = await prepareTask(recipe.task, tokenizer, recipe.seed);
  const models = evaluatedModels(folder, recipe);
  const total = models.length * task.dev.length;
  const results: ModelEvaluation[] = [];
  for (const [index, { name, path }] of models.entries()) {
    const result = await evaluateModel(name, path, recipe, task, tokenizer, async (done) => {
      await new Promise((resolve) => setImmediate(resolve));
      const request = context.stopRequested();
      if (request) throw new JobStopped(request, 0);
      context.emit({
        type: 'progress',
        done: index * task.dev.length + done,
        total,
        unit: 'rows',
        resumed: 0,
        note: name,
      });
    });
    results.push(result);
  }
  await mkdir(join(folder, 'evaluations'), { recursive: true });
  const gold = task.dev.map(({ label }) => label);
  for (const result of results)
    await writeFileAtomically(
      evaluationPath(folder, result.model),
      `${JSON.stringify(withPairedScores(result, results, gold))}\n`,
    );
  await writeComparison(folder, recipe);
  return Object.fromEntries(results.map(({ model, value }) => [model, value]));
}
