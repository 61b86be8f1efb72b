/** Experiments: started, watched, stopped, annotated, hidden and brought back. */
import { readSharedStages } from '../../../experiment/shared-stages.ts';
import { changeAnnotations, changeRemoved } from '../../experiments/annotations.ts';
import { demoRecipe } from '../demo.ts';
import { recipeDifferences } from '../../experiments/recipe-differences.ts';
import { trainAgain } from '../../experiments/train-again.ts';
import { readTernaryWeights } from '../../results/ternary-weights.ts';
import type { Procedures } from './base.ts';

export function experimentProcedures({ experiments }: Procedures) {
  return {
    experiments: {
      list: experiments.list.handler(({ context: { application } }) => application.summaries.all()),
      get: experiments.get.handler(({ context: { application }, input }) => application.queue.view(input.id)),
      start: experiments.start.handler(({ context: { application }, input }) => application.queue.start(input.recipe)),
      startDemo: experiments.startDemo.handler(async ({ context: { application } }) =>
        application.queue.start(await demoRecipe(application.options.jobs)),
      ),
      trainAgain: experiments.trainAgain.handler(async ({ context: { application }, input }) => {
        const { workspace, options, queue } = application;
        const { recipe } = await trainAgain(workspace, workspace.experiments.get(input.id), input.file, options.jobs);
        return queue.start(recipe);
      }),
      resume: experiments.resume.handler(({ context: { application }, input }) => application.queue.resume(input.id)),
      pause: experiments.pause.handler(({ context: { application }, input }) =>
        application.queue.stop(input.id, 'pause'),
      ),
      cancel: experiments.cancel.handler(({ context: { application }, input }) =>
        application.queue.stop(input.id, 'cancel'),
      ),
      restart: experiments.restart.handler(({ context: { application }, input }) =>
        application.queue.restart(input.id),
      ),
      resumeWithLessMemory: experiments.resumeWithLessMemory.handler(({ context: { application }, input }) =>
        application.queue.resumeWithLessMemory(input.id),
      ),
      moveInQueue: experiments.moveInQueue.handler(({ context: { application }, input }) =>
        application.queue.move(input.id, input.place),
      ),
      queue: experiments.queue.handler(({ context: { application } }) => application.queue.state),
      goOn: experiments.goOn.handler(({ context: { application } }) => {
        application.queue.goOn();
        return application.queue.state;
      }),
      remove: experiments.remove.handler(({ context: { application }, input }) => {
        application.workspace.experiments.get(input.id);
        application.queue.stop(input.id, 'cancel');
        changeRemoved(application.workspace, input.id, true);
        application.hub.say({ type: 'list' });
        return null;
      }),
      restore: experiments.restore.handler(({ context: { application }, input }) => {
        application.workspace.experiments.get(input.id);
        changeRemoved(application.workspace, input.id, false);
        application.hub.say({ type: 'list' });
        return application.queue.view(input.id);
      }),
      annotate: experiments.annotate.handler(({ context: { application }, input }) => {
        const { id, ...change } = input;
        application.workspace.experiments.get(id);
        changeAnnotations(application.workspace, id, change);
        application.hub.say({ type: 'list' });
        return application.queue.view(id);
      }),
      recipeDifferences: experiments.recipeDifferences.handler(({ context: { application }, input }) => {
        const recipes = input.ids.map((id) => application.workspace.experiments.get(id).recipe);
        return recipeDifferences(recipes).map(({ path, values }) => ({ path, values: values.map(asJson) }));
      }),
      log: experiments.log.handler(({ context: { application }, input }) =>
        application.workspace.experiments.logs(input.id, input.limit),
      ),
      curveNames: experiments.curveNames.handler(({ context: { application }, input }) =>
        application.workspace.metrics.list(input.id),
      ),
      curves: experiments.curves.handler(({ context: { application }, input }) => {
        const { id, names, points, from, to } = input;
        const range = { points, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
        return names.map((name) => ({ name, points: application.workspace.metrics.read(id, name, range) }));
      }),
      sharedStages: experiments.sharedStages.handler(({ context: { application }, input }) => {
        const { workspace } = application;
        return readSharedStages(workspace.experimentFolder(workspace.experiments.get(input.id).id));
      }),
      ternaryWeights: experiments.ternaryWeights.handler(({ context: { application }, input }) =>
        readTernaryWeights(application.workspace.metrics, input.id, input.stage),
      ),
    },
  };
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

function asJson(value: unknown): Json {
  return value === undefined ? null : (JSON.parse(JSON.stringify(value)) as Json);
}
