/** Steps over a task's training rows, for the stages that train on the task. */
import { stat } from 'node:fs/promises';
import type { JobSpec } from '../../contract/jobs.ts';
import type { OptimiserSettings } from '../../contract/recipe.ts';
import { readFolderConfiguration } from '../../models/model-folder.ts';
import { type BatchSource, exampleBatches } from '../../training/batches.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { cachedTokens } from '../../experiment/folder.ts';
import { type JobContext, obeyStop } from '../job.ts';
import { recipeTokenizer, stageSteps } from '../models-of-recipe.ts';
import { fullRowsNote, prepareTask, type PreparedTask } from './task-data.ts';
import { tokeniseRows } from './tokenised-rows.ts';

export interface TaskBatches {
  readonly task: PreparedTask;
  readonly batches: BatchSource;
  /** Optimiser steps of the whole stage. */
  readonly steps: number;
  close(): Promise<void>;
}

/** @throws JobStopped when the job is told to stop while rows are read */
export async function taskBatches(
  { recipe, folder }: JobSpec,
  length: { epochs: number; steps?: number | undefined; optimiser: OptimiserSettings },
  context: JobContext,
): Promise<TaskBatches> {
  const tokenizer = await recipeTokenizer(recipe, await readFolderConfiguration(recipe.teacher));
  const task = await prepareTask(recipe.task, tokenizer, recipe.seed, () => obeyStop(context));
  for (const text of task.notes) context.emit({ type: 'log', level: 'info', text });
  const steps = stageSteps(length, Math.ceil(task.trainRows / length.optimiser.batchSize));
  const { size, mtimeMs } = await stat(recipe.task.train);
  const rows = await tokeniseRows(
    task,
    tokenizer.vocabSize,
    cachedTokens(folder, 'task'),
    textSha256(JSON.stringify([recipe.task, recipe.seed, tokenizer.sha256, size, mtimeMs])),
    async (read) => {
      await obeyStop(context);
      const note = `${read} rows read`;
      context.emit({ type: 'progress', done: 0, total: steps, unit: 'steps', resumed: 0, note });
    },
  );
  for (const text of fullRowsNote(rows.full, 'training', recipe.task))
    context.emit({ type: 'log', level: 'info', text });
  return {
    task,
    batches: exampleBatches(rows, { ...length.optimiser, seed: recipe.seed }),
    steps,
    close: () => rows.close(),
  };
}
