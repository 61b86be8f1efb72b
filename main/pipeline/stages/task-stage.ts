/** The frame of the stages that train on the task's rows: fine-tuning, Stage 3 and the baseline. */
import { rm } from 'node:fs/promises';
import type { JobResults } from '../../contract/job-results.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { OptimiserSettings } from '../../contract/recipe.ts';
import { taughtFolder } from '../../experiment/folder.ts';
import { isRoot, meet, rootFirst } from '../../training/collective.ts';
import type { Distillation } from '../../training/training-step.ts';
import { stepChoice } from '../evaluate/step-choice.ts';
import { trainingEvaluation } from '../evaluate/training-evaluation.ts';
import { collectiveOf, type JobContext } from '../job.ts';
import { type MoreRows, taskBatches } from '../task/task-batches.ts';
import type { Lesson } from './ask-once.ts';
import { type StageTraining, trainStage } from './stage-training.ts';

export interface TaskStage extends Pick<
  StageTraining,
  'job' | 'configuration' | 'source' | 'keptLayers' | 'result' | 'anneal' | 'soften'
> {
  /** How long and how the stage trains. */
  readonly training: { epochs: number; steps?: number | undefined; optimiser: OptimiserSettings };
  /** What the student learns from besides the task's rows. */
  readonly moreRows?: () => Promise<MoreRows | undefined>;
  /** Steps beyond those that `training` says. */
  readonly moreSteps?: number;
  /** Loads what a student learns from, once the rows are there; its teacher is released at the end. */
  readonly loadDistillation?: (lesson: Lesson) => Promise<Distillation>;
}

/**
 * Trains a model on the task and saves it.
 * @returns optimiser steps that were taken, and which of them was kept
 * @throws JobStopped when the job was told to pause or cancel
 */
export async function trainOnTask(spec: JobSpec, stage: TaskStage, context: JobContext): Promise<JobResults['distil']> {
  const { training, moreSteps = 0, moreRows, loadDistillation, ...model } = stage;
  const collective = collectiveOf(context);
  const { task, batches, rows, choosing, steps, close } = await rootFirst(collective, async () =>
    taskBatches(spec, training, context, await moreRows?.()),
  );
  const totalSteps = steps + moreSteps;
  let distillation: Distillation | null = null;
  let result: JobResults['distil'];
  try {
    const { stepsPerEpoch } = batches;
    distillation = (await loadDistillation?.({ rows, steps: totalSteps, stepsPerEpoch })) ?? null;
    result = await trainStage(
      {
        ...model,
        folder: spec.folder,
        recipe: spec.recipe,
        distillation,
        batches,
        optimiser: training.optimiser,
        totalSteps,
        evaluation: trainingEvaluation(spec.recipe, task, collective),
        choice: stepChoice(spec.recipe, task, choosing, collective),
      },
      context,
    );
  } finally {
    await close();
    await distillation?.teacher.release();
  }
  if (distillation) {
    await meet(collective);
    if (isRoot(collective)) await rm(taughtFolder(spec.folder), { recursive: true, force: true });
  }
  return result;
}
