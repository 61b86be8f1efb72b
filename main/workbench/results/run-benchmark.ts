/** Measures exported models of an experiment beside each other, and keeps the result. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import type { BenchmarkSubject, RuntimeMessage, SavedBenchmark } from '../../contract/helper-protocol.ts';
import type { ExportedModel } from '../../contract/views.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { converse } from '../interface/helper-host.ts';
import { describeMachine } from '../machine/machine.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { BenchmarkStore } from './benchmarks.ts';
import { exportOf, readExports } from './results.ts';

export interface BenchmarkInput {
  /** The experiment. */
  readonly id: string;
  readonly subjects: readonly BenchmarkSubject[];
  readonly threads: number[];
  readonly promptLengths: number[];
}

/**
 * One process per subject, so that each one's memory is its own; the same threads and prompts for all. Ends early, and keeps nothing,
 * when `signal` aborts.
 * @throws TritsmithError `not-found` where a subject has no file, and what the process says
 */
export async function* runBenchmark(
  workspace: Workspace,
  runtime: SpawnPort,
  benchmarks: BenchmarkStore,
  { id, subjects, threads, promptLengths }: BenchmarkInput,
  signal?: AbortSignal,
): AsyncGenerator<{ subject: number; message: RuntimeMessage; saved: SavedBenchmark | null }, void> {
  const record = workspace.experiments.get(id);
  const files = subjects.map((subject) => fileOf(workspace, record, subject));
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
    for await (const message of converse(runtime, { type: 'benchmark', request }, signal)) {
      if (message.type === 'point') entry.points.push(message.point);
      yield { subject: index, message, saved: null };
    }
    if (signal?.aborted === true) return;
  }
  benchmarks.save(saved);
  yield { subject: subjects.length - 1, message: { type: 'finished' }, saved };
}

function fileOf(workspace: Workspace, record: ExperimentRecord, { model, type }: BenchmarkSubject): ExportedModel {
  if (type === undefined) return exportOf(workspace, record, model);
  const file = readExports(workspace, record).find((each) => each.model === model && each.type === type);
  if (file !== undefined && existsSync(file.path)) return file;
  throw new TritsmithError('not-found', 'export.none-of-type', { experiment: record.name, type });
}
