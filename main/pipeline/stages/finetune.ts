/** Fine-tunes the full-precision teacher on the task. */
import type { JobResults } from '../../contract/job-results.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import type { JobContext } from '../job.ts';
import { trainOnTask } from './task-stage.ts';

export async function finetuneTeacher(spec: JobSpec, context: JobContext): Promise<JobResults['distil']> {
  const { finetune, teacher: source } = spec.recipe;
  if (!finetune) return { steps: 0 };
  const configuration = await modelConfiguration(source);
  return trainOnTask(spec, { job: 'finetune', configuration, source, result: 'teacher', training: finetune }, context);
}
