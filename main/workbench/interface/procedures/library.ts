/** Teachers, tasks and recipes: what the wizard asks before anything runs. */
import { modelName } from '../../../contract/local-path.ts';
import type { PreviewSurvey } from '../../../contract/result-queries.ts';
import { cachedModels, hubCacheFolder } from '../../../basics/hub-cache.ts';
import { askWorker } from '../../../jobs/host.ts';
import { estimate, rehearse } from '../../machine/estimates.ts';
import { mergedTeacher } from '../../teachers/merged-teacher.ts';
import { ask } from '../helper-host.ts';
import type { Procedures } from './base.ts';

/** Of previewed files, so that leafing through one does not read it from its start each time. */
const mostSurveys = 8;

export function libraryProcedures({ teachers, tasks, recipes }: Procedures) {
  const surveys = new Map<string, PreviewSurvey>();
  return {
    teachers: {
      list: teachers.list.handler(({ context: { application } }) => application.workspace.teachers.list()),
      inspect: teachers.inspect.handler(async ({ context: { application }, input }) => {
        const card = await askWorker(application.options.questions, { type: 'inspect-teacher', folder: input.folder });
        if (card.supported) application.workspace.teachers.put(modelName(card.folder), card);
        return card;
      }),
      merge: teachers.merge.handler(({ context: { application }, input }) =>
        mergedTeacher(input, application.workspace, application.options.jobs),
      ),
      cached: teachers.cached.handler(() => cachedModels(hubCacheFolder())),
    },
    tasks: {
      check: tasks.check.handler(({ context: { application }, input }) =>
        askWorker(application.options.questions, { type: 'check-task', request: input }),
      ),
      checkCorpus: tasks.checkCorpus.handler(({ context: { application }, input }) =>
        askWorker(application.options.questions, { type: 'check-corpus', request: input }),
      ),
      preview: tasks.preview.handler(async ({ context: { application }, input }) => {
        const path = input.settings.train;
        const survey = surveys.get(path);
        const known = survey === undefined ? {} : { survey };
        const found = await ask(
          application.options.runtime,
          { type: 'preview', request: input, ...known },
          'previewed',
        );
        surveys.delete(path);
        if (found.survey !== null) surveys.set(path, found.survey);
        for (const old of [...surveys.keys()].slice(0, -mostSurveys)) surveys.delete(old);
        return found.answer;
      }),
    },
    recipes: {
      make: recipes.make.handler(({ context: { application }, input }) =>
        askWorker(application.options.questions, { type: 'make-recipe', ...input }),
      ),
      estimate: recipes.estimate.handler(({ context: { application }, input }) =>
        estimate(application.options.jobs, input.recipe, application.workspace.paths.folder),
      ),
      rehearse: recipes.rehearse.handler(({ context: { application }, input }) =>
        rehearse(application.options.jobs, input.recipe, application.workspace.paths.folder),
      ),
    },
  };
}
