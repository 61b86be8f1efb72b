/** The one door to the pipeline: runs a job from a recipe and an experiment's folder to artifacts. */
import type { JobResults } from '../contract/job-results.ts';
import type { JobKind, JobSpec } from '../contract/jobs.ts';
import { baselineModel, studentModel, teacherModel } from '../contract/model-names.ts';
import { calibrateStudent } from './stages/calibrate.ts';
import { distilStudent, trainBaseline } from './stages/distil.ts';
import { cutStudent } from './stages/cut.ts';
import { evaluateModels } from './evaluate/evaluate.ts';
import { exportModels } from './export/export-models.ts';
import { finetuneTeacher } from './stages/finetune.ts';
import { collectiveOf, type JobContext } from './job.ts';
import { assertEngine, closeCard } from './engine.ts';
import { fourBitBaseline } from './evaluate/four-bit.ts';
import { measureModel } from './evaluate/measure.ts';
import { pretrainStudent } from './stages/pretrain.ts';
import { assertShared } from './ranks.ts';
import { reconstructStudent } from './stages/reconstruct.ts';
import { refineStudent } from './stages/refine.ts';

const jobs: { [Kind in JobKind]: (spec: JobSpec, context: JobContext) => Promise<JobResults[Kind]> } = {
  finetune: finetuneTeacher,
  cut: cutStudent,
  refine: refineStudent,
  calibrate: calibrateStudent,
  reconstruct: reconstructStudent,
  pretrain: pretrainStudent,
  distil: distilStudent,
  baseline: trainBaseline,
  evaluate: evaluateModels,
  export: exportModels,
  'measure-teacher': (spec, context) => measureModel(teacherModel, spec, context),
  'measure-baseline': (spec, context) => measureModel(baselineModel, spec, context),
  'four-bit': fourBitBaseline,
  'measure-student': (spec, context) => measureModel(studentModel, spec, context),
};

/**
 * Runs a job; it goes on from its own checkpoint where there is one.
 * @throws JobStopped after obeying a stop request, TritsmithError otherwise
 */
export async function runJob(spec: JobSpec, context: JobContext): Promise<JobResults[JobKind]> {
  assertShared(spec.recipe, collectiveOf(context));
  assertEngine(spec.recipe);
  try {
    return await jobs[spec.kind](spec, context);
  } finally {
    await closeCard();
  }
}
