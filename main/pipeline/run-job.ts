/** The one door to the pipeline: runs a job from a recipe and an experiment's folder to artifacts. */
import type { SerialisedError } from '../contract/errors.ts';
import type { JobKind, JobSpec } from '../contract/jobs.ts';
import { distilStudent, trainBaseline } from './stages/distil.ts';
import { evaluateModels } from './evaluate/evaluate.ts';
import { exportModels } from './export/export-models.ts';
import { finetuneTeacher } from './stages/finetune.ts';
import type { JobContext } from './job.ts';
import { fourBitBaseline } from './evaluate/four-bit.ts';
import { measureModel } from './evaluate/measure.ts';
import { pretrainStudent } from './stages/pretrain.ts';
import { refineStudent } from './stages/refine.ts';

/** What a job found out, as JSON; where a part of it was not possible, why. */
export type JobResult = Readonly<Record<string, number | string | boolean | null | SerialisedError>>;

const jobs: Record<JobKind, (spec: JobSpec, context: JobContext) => Promise<JobResult>> = {
  finetune: finetuneTeacher,
  refine: refineStudent,
  pretrain: pretrainStudent,
  distil: distilStudent,
  baseline: trainBaseline,
  evaluate: evaluateModels,
  export: exportModels,
  'measure-teacher': (spec, context) => measureModel('teacher', spec, context),
  'measure-baseline': (spec, context) => measureModel('bitnet-sft', spec, context),
  'four-bit': fourBitBaseline,
  'measure-student': (spec, context) => measureModel('bitdistill', spec, context),
};

/**
 * Runs a job; it goes on from its own checkpoint where there is one.
 * @throws JobStopped after obeying a stop request, TritsmithError otherwise
 */
export async function runJob(spec: JobSpec, context: JobContext): Promise<JobResult> {
  return jobs[spec.kind](spec, context);
}
