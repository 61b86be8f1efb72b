/** What experiments found out: tables, differing rows, reports, answers of exported models and benchmarks. */
import { randomUUID } from 'node:crypto';
import type { RuntimeMessage, RuntimeModelName, SavedBenchmark } from '../../contract/runtime-protocol.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { Application } from '../application.ts';
import { describeMachine } from '../machine.ts';
import { htmlCard, markdownCard } from '../model-card.ts';
import { exportOf, readResults } from '../results.ts';
import { ask, converse } from '../runtime-host.ts';
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
      differences: results.differences.handler(async ({ context: { application }, input }) => {
        const { id, ...request } = input;
        application.workspace.experiments.get(id);
        const folder = application.workspace.experimentFolder(id);
        const command = { type: 'differences' as const, request: { ...request, folder } };
        return (await ask(application.options.runtime, command, 'compared')).answer;
      }),
      report: results.report.handler(({ context: { application }, input }) => {
        const record = application.workspace.experiments.get(input.id);
        const found = readResults(application.workspace, record);
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
            input: input.input,
            maxTokens: input.maxTokens,
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
  readonly models: RuntimeModelName[];
  readonly threads: number[];
  readonly promptLengths: number[];
}

/** One process per model, so that each one's memory is its own. */
async function* runBenchmark(
  { workspace, options, benchmarks }: Application,
  input: BenchmarkInput,
  signal?: AbortSignal,
): AsyncGenerator<{ model: RuntimeModelName; message: RuntimeMessage; saved: SavedBenchmark | null }, void> {
  const record = workspace.experiments.get(input.id);
  const saved: SavedBenchmark = {
    id: randomUUID(),
    experiment: record.id,
    name: record.name,
    time: Date.now(),
    processor: describeMachine().processor,
    models: [],
  };
  for (const model of input.models) {
    const file = exportOf(workspace, record, model);
    const entry: SavedBenchmark['models'][number] = { model, type: file.type, fileBytes: file.fileBytes, points: [] };
    saved.models.push(entry);
    const { threads, promptLengths } = input;
    const request = { path: file.path, threads, promptLengths, decodeTokens: 32 };
    for await (const message of converse(options.runtime, { type: 'benchmark', request }, signal)) {
      if (message.type === 'point') entry.points.push(message.point);
      yield { model, message, saved: null };
    }
    if (signal?.aborted === true) return;
  }
  benchmarks.save(saved);
  yield { model: input.models.at(-1) ?? 'bitdistill', message: { type: 'finished' }, saved };
}
