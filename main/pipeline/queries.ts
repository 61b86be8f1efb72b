/** Answers to the workbench's short questions; each is asked in a worker process, so that the workbench never loads the engine. */
import type { QueryAnswer, QueryType, RemoteModel, WorkerQuery } from '../contract/queries.ts';
import { checkCorpus } from './inspect/check-corpus.ts';
import { addRows } from './task/add-rows.ts';
import { checkTask } from './task/check-task.ts';
import { convertModel } from './export/convert-model.ts';
import { writeDeployFolder } from './export/deploy-folder.ts';
import { assertExportable } from './export/export-targets.ts';
import { inspectFile } from './export/inspect-file.ts';
import { foreseeTeacher, inspectTeacher } from './inspect/inspect-teacher.ts';
import { mergeTeacher } from './inspect/merge-teacher.ts';
import { shapesOf } from './inspect/cost.ts';
import { forecastRecipe } from './inspect/estimate.ts';
import { foreseeMemory, forecastPublished } from './inspect/estimate-models.ts';
import { planJobs } from './inspect/plan.ts';
import { makeRecipe } from './inspect/presets.ts';

type Answered = Exclude<QueryType, 'probe-runtime'>;

export async function answerQuery(query: Extract<WorkerQuery, { type: Answered }>): Promise<QueryAnswer<Answered>> {
  switch (query.type) {
    case 'inspect-teacher':
      return inspectTeacher(query.folder);
    case 'foresee-teacher':
      return foresee(query.model);
    case 'merge-adapter':
      return mergeTeacher(query);
    case 'check-task':
      return checkTask(query.request);
    case 'check-corpus':
      return checkCorpus(query.request);
    case 'make-recipe':
      return makeRecipe(query.inputs);
    case 'check-exports':
      await assertExportable(query.recipe);
      return null;
    case 'inspect-file':
      return inspectFile(query.path);
    case 'convert-model':
      return convertModel(query.request);
    case 'add-rows':
      return addRows(query.request);
    case 'deploy':
      return writeDeployFolder(query.request);
    case 'plan-jobs':
      await assertExportable(query.recipe);
      return planJobs(query.recipe, await shapesOf(query.recipe), query.size ?? undefined);
    case 'forecast-recipe':
      return forecastRecipe(query.recipe, query.size, query.measured);
    case 'forecast-published':
      return forecastPublished();
  }
}

function foresee(model: RemoteModel): QueryAnswer<'foresee-teacher'> {
  const card = foreseeTeacher(model);
  return { card, memory: card.supported && model.gguf === null ? foreseeMemory(model) : null };
}
