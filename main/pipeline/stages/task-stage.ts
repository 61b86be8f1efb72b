/** The frame of the stages that train on the task's rows: fine-tuning, Stage 3 and the baseline. */
import type { JobResults } from '../../contract/job-results.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { OptimiserSettings } from '../../contract/recipe.ts';
import { rootFirst } from '../../training/collective.ts';
import type { Distillation } from '../../training/training-step.ts';
import { stepChoice } from '../evaluate/step-choice.ts';
import { trainingEvaluation } from '../evaluate/training-evaluation.ts';
import { collectiveOf, type JobContext } from '../job.ts';
import { type MoreRows, taskBatches } from '../task/task-batches.ts';
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
  readonly loadDistillation?: () => Promise<Distillation>;
}

/**
 * Trains a model on the task and saves it.
 * @returns optimiser steps that were taken, and which of them was kept
 * @throws JobStopped when the job was told to pause or cancel
 */
export async function trainOnTask(spec: JobSpec, stage: TaskStage, context: JobContext): Promise<JobResults['distil']> {
  const { training, moreSteps = 0, moreRows, loadDistillation, ...model } = stage;
  const { task, batches, choosing, steps, close } = await rootFirst(collectiveOf(context), async () =>
    taskBatches(spec, training, context, await moreRows?.()),
  );
  const totalSteps = steps + moreSteps;
  let distillation: Distillation | null = null;
  try {
    distillation = (await loadDistillation?.()) ?? null;
    return await trainStage(
      {
        ...model,
        folder: spec.folder,
        recipe: spec.recipe,
        distillation,
        batches,
        optimiser: training.optimiser,
        totalSteps,
        evaluation: trainingEvaluation(spec.recipe, task, collectiveOf(context)),
        choice: stepChoice(spec.recipe, task, choosing, collectiveOf(context)),
      },
      context,
    );
  } finally {
    await close();
    await distillation?.teacher.release();
  }
}
