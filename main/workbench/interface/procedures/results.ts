/** What experiments found out: tables, differing rows, reports, answers of exported models and benchmarks. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { ExperimentRecord } from '../../../contract/experiments.ts';
import type { BenchmarkSubject, RuntimeMessage, SavedBenchmark } from '../../../contract/helper-protocol.ts';
import type { ExportedModel } from '../../../contract/views.ts';
import { TritsmithError } from '../../../contract/errors.ts';
import type { Application } from '../application.ts';
import { readDifferences, reportedDifferences } from '../../results/differences.ts';
import { describeMachine } from '../../machine/machine.ts';
import { htmlCard, markdownCard } from '../../results/model-card.ts';
import { exportOf, readExports, readResults } from '../../results/results.ts';
import { converse } from '../helper-host.ts';
import { toProcedureError } from './errors.ts';
import type { Procedures } from './router.ts';

export function resultProcedures({ results, playground, benchmarks }: Procedures) {
  return {
    results: {
      get: results.get.handler(({ context: { application }, input }) => ({
        ...readResults(application.workspace, application.workspace.experiments.get(input.id)),
        job: application.sideJobs.get(input.id),
      })),
      startJob: results.startJob.handler(({ context: { application }, input }) => {
        if (application.queue.running === input.id || application.queue.waiting.includes(input.id))
          throw new TritsmithError('bad-input', 'This experiment is running.', { remedy: 'Wait until it has ended.' });
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
    },
    playground: {
      answer: playground.answer.handler(async function* ({ context: { application }, input, signal }) {
        const { workspace, options } = application;
        try {
          const record = workspace.experiments.get(input.id);
          const request = {
            path: exportOf(workspace, record, input.model).path,
            tokenizer: record.recipe.teacher,
            task: record.recipe.task,
            seed: record.recipe.seed,
            experiment: workspace.experimentFolder(record.id),
            input: input.input,
            maxTokens: input.maxTokens,
            answering: input.answering,
          };
          yield* converse(options.runtime, { type: 'answer', request }, signal);
        } catch (thrown) {
          throw toProcedureError(thrown);
        }
      }),
    },
    benchmarks: {
      list: benchmarks.list.handler(({ context: { application } }) => application.benchmarks.list()),
      run: benchmarks.run.handler(async function* ({ context: { application }, input, signal }) {
        try {
          yield* runBenchmark(application, input, signal);
        } catch (thrown) {
          throw toProcedureError(thrown);
        }
      }),
      remove: benchmarks.remove.handler(({ context: { application }, input }) => {
        application.benchmarks.remove(input.id);
        return null;
      }),
    },
  };
}

interface BenchmarkInput {
  readonly id: string;
  readonly subjects: readonly BenchmarkSubject[];
  readonly threads: number[];
  readonly promptLengths: number[];
}

/** The file that a subject names. Throws `not-found`. */
function fileOf({ workspace }: Application, record: ExperimentRecord, subject: BenchmarkSubject): ExportedModel {
  const { model, type } = subject;
  if (type === undefined) return exportOf(workspace, record, model);
  const file = readExports(workspace, record).find((each) => each.model === model && each.type === type);
  if (file !== undefined && existsSync(file.path)) return file;
  throw new TritsmithError('not-found', `There is no ${type.toUpperCase()} file of this model in ${record.name}.`, {
    remedy: 'Make it on the page "Export" of the experiment.',
  });
}

/** One process per subject, so that each one's memory is its own; the same threads and prompts for all. */
async function* runBenchmark(
  application: Application,
  { id, subjects, threads, promptLengths }: BenchmarkInput,
  signal?: AbortSignal,
): AsyncGenerator<{ subject: number; message: RuntimeMessage; saved: SavedBenchmark | null }, void> {
  const record = application.workspace.experiments.get(id);
  const files = subjects.map((subject) => fileOf(application, record, subject));
  const saved: SavedBenchmark = {
    id: randomUUID(),
    experiment: record.id,
    name: record.name,
    time: Date.now(),
    processor: describeMachine().processor,
    models: [],
  };
  for (const [index, { model, engine }] of subjects.entries()) {
    const { path, type, fileBytes } = files[index]!;
    const entry: SavedBenchmark['models'][number] = { model, engine, type, fileBytes, points: [] };
    saved.models.push(entry);
    const request = { path, engine, threads, promptLengths, decodeTokens: 32 };
    for await (const message of converse(application.options.runtime, { type: 'benchmark', request }, signal)) {
      if (message.type === 'point') entry.points.push(message.point);
      yield { subject: index, message, saved: null };
    }
    if (signal?.aborted === true) return;
  }
  application.benchmarks.save(saved);
  yield { subject: subjects.length - 1, message: { type: 'finished' }, saved };
}
