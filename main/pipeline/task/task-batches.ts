/** Steps over a task's training rows, for the stages that train on the task. */
import type { JobSpec } from '../../contract/jobs.ts';
import type { OptimiserSettings } from '../../contract/recipe.ts';
import { type BatchSource, type Example, exampleBatches, type ExampleRows } from '../../training/batches.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { cachedTokens } from '../../experiment/folder.ts';
import { type JobContext, obeyStop } from '../job.ts';
import { choosingRows, stageSteps } from '../models-of-recipe.ts';
import { openTask } from './open-task.ts';
import { fullRowsNote, type PreparedTask } from './task-data.ts';
import { type TokenisedRows, tokeniseRows } from './tokenised-rows.ts';

/**
 * The task of an experiment and its training rows as tokens, from the experiment's cache where they are there.
 * @param onTokenised called now and then with the rows tokenised so far
 * @throws JobStopped when the job is told to stop while rows are read
 */
export async function taskRows(
  { recipe, folder }: JobSpec,
  context: JobContext,
  onTokenised: (rows: number, task: PreparedTask) => void,
): Promise<{ task: PreparedTask; rows: TokenisedRows }> {
  const { task, tokenizer } = await openTask({ recipe, folder }, () => obeyStop(context));
  const path = cachedTokens(folder, 'task');
  const rows = await tokeniseRows(task, tokenizer.vocabSize, path, task.key, async (read) => {
    await obeyStop(context);
    onTokenised(read, task);
  });
  return { task, rows };
}

export interface TaskBatches {
  readonly task: PreparedTask;
  readonly batches: BatchSource;
  /** What the batches are made of. */
  readonly rows: ExampleRows;
  /** Rows that the best step is chosen with; none where the last one is kept. */
  readonly choosing: readonly Example[];
  /** Optimiser steps of the whole stage. */
  readonly steps: number;
  close(): Promise<void>;
}

/** Rows besides the task's own. */
export interface MoreRows {
  /** Trained on too, and closed with the batches; null: they only count for the length of the stage. */
  readonly rows: TokenisedRows | null;
  readonly count: number;
}

/** @throws JobStopped when the job is told to stop while rows are read */
export async function taskBatches(
  spec: JobSpec,
  length: { epochs: number; steps?: number | undefined; optimiser: OptimiserSettings },
  context: JobContext,
  more: MoreRows = { rows: null, count: 0 },
): Promise<TaskBatches> {
  const trainedOn = (rows: number): number => rows - choosingRows(spec.recipe, rows);
  const stepsOf = ({ trainRows }: PreparedTask): number =>
    stageSteps(length, Math.ceil((trainedOn(trainRows) + more.count) / length.optimiser.batchSize));
  const { task, rows } = await taskRows(spec, context, (read, prepared) => {
    const note = `${read} rows read`;
    context.emit({ type: 'progress', done: 0, total: stepsOf(prepared), unit: 'steps', resumed: 0, note });
  });
  for (const text of [...task.notes, ...fullRowsNote(rows.full, 'training', spec.recipe.task)])
    context.emit({ type: 'log', level: 'info', text });
  const count = trainedOn(rows.lengths.length);
  const choosing: Example[] = [];
  for (let row = count; row < rows.lengths.length; row += 1) choosing.push(await rows.read(row));
  const trained = joined({ ...rows, lengths: rows.lengths.subarray(0, count) }, more.rows);
  return {
    task,
    choosing,
    rows: trained,
    batches: exampleBatches(trained, { ...length.optimiser, seed: spec.recipe.seed }),
    steps: stepsOf(task),
    close: async () => {
      await rows.close();
      await more.rows?.close();
    },
  };
}

/** The task's rows and, behind them, others. */
function joined(own: ExampleRows, more: ExampleRows | null): ExampleRows {
  if (more === null) return own;
  const count = own.lengths.length;
  return {
    lengths: Int32Array.from([...own.lengths, ...more.lengths]),
    fingerprint: textSha256(JSON.stringify([own.fingerprint, more.fingerprint])),
    read: (row) => (row < count ? own.read(row) : more.read(row - count)),
  };
}
