/** Measures teacher, baseline and student on the task's held-out rows, and puts them side by side. */
import type { JobSpec } from '../../contract/jobs.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { ModelEvaluation } from '../../contract/results.ts';
import type { JobResults } from '../../contract/job-results.ts';
import type { ClassifiedRow } from '../../evaluation/answer-classes.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { loadParameters, modelConfiguration } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { trainedModelFolders } from '../../experiment/folder.ts';
import { type Collective, isRoot, rootFirst } from '../../training/collective.ts';
import { classifyTogether } from './classify-together.ts';
import { compareModels } from './comparison.ts';
import { classifierEvaluation, writeEvaluations, writerEvaluation } from './evaluations.ts';
import { collectiveOf, type JobContext, obeyStop } from '../job.ts';
import type { LabelWords } from '../task/label-words.ts';
import { openTask } from '../task/open-task.ts';
import type { PreparedTask } from '../task/task-data.ts';
import { writeAnswers, type WrittenAnswers } from './written-answers.ts';

type OnRows = (done: number) => Promise<void>;

interface Subject {
  readonly recipe: Recipe;
  /** Folder of the experiment. */
  readonly folder: string;
  /** Folder of the model. */
  readonly path: string;
  readonly task: PreparedTask;
  readonly tokenizer: Tokenizer;
}

/** A loaded model for the time of `work`. */
export async function onGraphEngine<T>(
  path: string,
  threads: number,
  work: (network: Network, head: ScoringHead) => Promise<T>,
): Promise<T> {
  const configuration = await modelConfiguration(path);
  const network = await Network.create(configuration, await loadParameters(path, configuration), {
    threads,
    mode: 'inference',
  });
  const head = await ScoringHead.create(network, { threads });
  try {
    return await work(network, head);
  } finally {
    await head.release();
    await network.release();
  }
}

/** Classes are scored by the graph engine, which computes what was trained: a prompt is one pass, so it loses nothing by having no cache. */
function classify(
  subject: Subject,
  { ids }: LabelWords,
  collective: Collective,
  onRows: OnRows,
): Promise<ClassifiedRow[]> {
  const prompts = subject.task.dev.map(({ prompt }) => prompt);
  return onGraphEngine(subject.path, subject.recipe.threads, (network, head) =>
    classifyTogether(collective, network, head, prompts, ids, onRows),
  );
}

/** Texts are written by the native runtime, which runs every model from a file of our own. */
async function write(subject: Subject, context: JobContext, onRows: OnRows): Promise<WrittenAnswers> {
  const { recipe, folder, path, task, tokenizer } = subject;
  const configuration = await modelConfiguration(path);
  return writeAnswers(folder, path, configuration, tokenizer, task.dev, {
    maxNewTokens: recipe.task.maxNewTokens,
    threads: recipe.threads,
    stopping: () => context.stopRequested() !== null,
    collective: collectiveOf(context),
    onRow: onRows,
  });
}

export async function evaluateModels(spec: JobSpec, context: JobContext): Promise<JobResults['evaluate']> {
  const { recipe, folder } = spec;
  const collective = collectiveOf(context);
  const { task, tokenizer } = await rootFirst(collective, () => openTask(spec, () => obeyStop(context)));
  const models = trainedModelFolders(folder, recipe);
  const total = models.length * task.dev.length;
  const results: ModelEvaluation[] = [];
  for (const [index, { name, path }] of models.entries()) {
    const subject: Subject = { recipe, folder, path, task, tokenizer };
    const onRows: OnRows = async (rows) => {
      await obeyStop(context);
      const done = index * task.dev.length + rows;
      context.emit({ type: 'progress', done, total, unit: 'rows', resumed: 0, note: name });
    };
    results.push(
      task.labels
        ? classifierEvaluation(name, task, task.labels, await classify(subject, task.labels, collective, onRows))
        : writerEvaluation(name, task, tokenizer, await write(subject, context, onRows), recipe.seed),
    );
  }
  if (isRoot(collective)) {
    await writeEvaluations(folder, task, results, recipe.seed);
    await compareModels(folder, recipe);
  }
  return Object.fromEntries(results.map(({ model, value }) => [model, value]));
}
