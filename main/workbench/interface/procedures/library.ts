/** Teachers, tasks and recipes: what the wizard asks before anything runs. */
import { basename } from 'node:path';
import { askWorker } from '../../../jobs/host.ts';
import { estimate, rehearse } from '../../machine/estimates.ts';
import { ask } from '../helper-host.ts';
import type { Procedures } from './base.ts';

export function libraryProcedures({ teachers, tasks, recipes }: Procedures) {
  return {
    teachers: {
      list: teachers.list.handler(({ context: { application } }) => application.workspace.teachers.list()),
      inspect: teachers.inspect.handler(async ({ context: { application }, input }) => {
        const card = await askWorker(application.options.jobs, { type: 'inspect-teacher', folder: input.folder });
        if (card.supported) application.workspace.teachers.put(basename(input.folder), card);
        return card;
      }),
    },
    tasks: {
      check: tasks.check.handler(({ context: { application }, input }) =>
        askWorker(application.options.jobs, { type: 'check-task', request: input }),
      ),
      preview: tasks.preview.handler(
        async ({ context: { application }, input }) =>
          (await ask(application.options.runtime, { type: 'preview', request: input }, 'previewed')).answer,
      ),
    },
    recipes: {
      make: recipes.make.handler(({ context: { application }, input }) =>
        askWorker(application.options.jobs, { type: 'make-recipe', ...input }),
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
