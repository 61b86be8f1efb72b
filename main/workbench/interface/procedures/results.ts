/** What experiments found out: tables, differing rows, reports, answers of exported models and benchmarks. */
import { TritsmithError } from '../../../contract/errors.ts';
import { studentModel } from '../../../contract/model-names.ts';
import { scoreTemperature } from '../../../experiment/results.ts';
import { deploy } from '../../results/deploy.ts';
import { readDifferences, reportedDifferences } from '../../results/differences.ts';
import { htmlCard, markdownCard } from '../../results/model-card.ts';
import { exportOf, readExports, readResults } from '../../results/results.ts';
import { runBenchmark } from '../../results/run-benchmark.ts';
import { converse } from '../helper-host.ts';
import { streamed } from './errors.ts';
import type { Procedures } from './base.ts';

export function resultProcedures({ results, playground, benchmarks }: Procedures) {
  return {
    results: {
      get: results.get.handler(({ context: { application }, input }) => ({
        ...readResults(application.workspace, application.workspace.experiments.get(input.id)),
        job: application.sideJobs.get(input.id),
      })),
      startJob: results.startJob.handler(({ context: { application }, input }) => {
        if (application.queue.running === input.id || application.queue.waiting.includes(input.id))
          throw new TritsmithError('bad-input', 'experiment.runs');
        return application.sideJobs.start(input.id, input.task);
      }),
      cancelJob: results.cancelJob.handler(({ context: { application }, input }) => {
        application.sideJobs.cancel(input.id);
        return null;
      }),
      differences: results.differences.handler(({ context: { application }, input }) => {
        const { id, ...request } = input;
        application.workspace.experiments.get(id);
        return readDifferences(application.options.runtime, application.workspace, id, request);
      }),
      report: results.report.handler(async ({ context: { application }, input }) => {
        const { workspace, options } = application;
        const record = workspace.experiments.get(input.id);
        const results = readResults(workspace, record);
        const differences = await reportedDifferences(options.runtime, workspace, record, results.evaluations, 20);
        const found = { ...results, differences };
        const html = input.format === 'html';
        return {
          fileName: `${record.id}.${html ? 'html' : 'md'}`,
          text: html ? htmlCard(record, found) : markdownCard(record, found),
        };
      }),
      review: results.review.handler(
        streamed(async function* ({ context: { application }, input, signal }) {
          const { workspace, options } = application;
          const { id, ...asked } = input;
          const { path } = exportOf(workspace, workspace.experiments.get(id), studentModel);
          const request = { ...asked, experiment: workspace.experimentFolder(id), model: studentModel, path };
          yield* converse(options.runtime, { type: 'review', request }, signal);
        }),
      ),
      deploy: results.deploy.handler(({ context: { application }, input }) => {
        const { workspace, options } = application;
        const record = workspace.experiments.get(input.id);
        const file = readExports(workspace, record).find(({ path }) => path === input.path);
        if (file === undefined) throw new TritsmithError('not-found', 'inspect.missing', { path: input.path });
        return deploy(workspace, record, file, input.into, options.jobs);
      }),
    },
    playground: {
      answer: playground.answer.handler(
        streamed(async function* ({ context: { application }, input, signal }) {
          const { workspace, options } = application;
          const record = workspace.experiments.get(input.id);
          const folder = workspace.experimentFolder(record.id);
          const request = {
            path: exportOf(workspace, record, input.model).path,
            tokenizer: record.recipe.teacher,
            task: record.recipe.task,
            seed: record.recipe.seed,
            experiment: folder,
            ...scoreTemperature(folder, input.model),
            input: input.input,
            maxTokens: input.maxTokens,
            answering: input.answering,
          };
          yield* converse(options.runtime, { type: 'answer', request }, signal);
        }),
      ),
    },
    benchmarks: {
      list: benchmarks.list.handler(({ context: { application } }) => application.benchmarks.list()),
      run: benchmarks.run.handler(
        streamed(({ context: { application }, input, signal }) => {
          const { workspace, options } = application;
          return runBenchmark(workspace, options.runtime, application.benchmarks, input, signal);
        }),
      ),
      remove: benchmarks.remove.handler(({ context: { application }, input }) => {
        application.benchmarks.remove(input.id);
        return null;
      }),
    },
  };
}
