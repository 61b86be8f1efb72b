/** Answers to the workbench's short questions; each is asked in a worker process, so that the workbench never loads the engine. */
import type { QueryAnswer, QueryType, WorkerQuery } from '../contract/queries.ts';
import { checkTask } from './task/check-task.ts';
import { assertExportable } from './export/export-targets.ts';
import { inspectFile } from './export/inspect-file.ts';
import { foreseeTeacher, inspectTeacher } from './inspect/inspect-teacher.ts';
import { planJobs } from './inspect/plan.ts';
import { makeRecipe } from './inspect/presets.ts';

type Answered = Exclude<QueryType, 'probe-runtime'>;

export async function answerQuery(query: Extract<WorkerQuery, { type: Answered }>): Promise<QueryAnswer<Answered>> {
  switch (query.type) {
    case 'inspect-teacher':
      return inspectTeacher(query.folder);
    case 'foresee-teacher':
      return foreseeTeacher(query.model);
    case 'check-task':
      return checkTask(query.request);
    case 'make-recipe':
      return makeRecipe(query.inputs);
    case 'inspect-file':
      return inspectFile(query.path);
    case 'plan-jobs':
      await assertExportable(query.recipe);
      return planJobs(query.recipe);
  }
}
