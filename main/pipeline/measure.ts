/** Measures one exported model in the native runtime: resident memory, prefill and decode speed. One process per model. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadModel } from '../../native/runtime.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { JobSpec } from '../contract/jobs.ts';
import type { ComparisonRow } from '../contract/results.ts';
import { writeFileAtomically } from '../formats/atomic-file.ts';
import { type Measurement, measurementPath, readExports, writeComparison } from './comparison.ts';
import type { JobContext } from './job.ts';

const promptTokens = 128;
const decodedTokens = 64;
const rounds = 5;
/** One, so that models and machines compare: small models lose by waiting for a second thread. */
const threads = 1;

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/**
 * Median tokens per second of five rounds on one thread, prefill of 128 tokens and decode of 64 (less where the context is shorter), and how
 * much the process's resident memory grew by loading and running the model.
 */
export async function measureModel(
  name: ComparisonRow['name'],
  { recipe, folder }: JobSpec,
  context: JobContext,
): Promise<Measurement> {
  const file = (await readExports(folder))?.find(({ model }) => model === name);
  if (!file)
    throw new TritsmithError('not-found', `There is no exported file of ${name} to measure.`, {
      remedy: 'Run the export again.',
    });
  const before = process.memoryUsage.rss();
  const model = loadModel(join(folder, file.path), { threads });
  const length = Math.min(promptTokens, Math.floor(model.info.contextLength / 2));
  const decoded = Math.min(decodedTokens, model.info.contextLength - length - 1);
  const prompt = Int32Array.from({ length }, (_, index) => (index * 7 + 5) % model.info.vocabularySize);
  const prefill: number[] = [];
  const decode: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    model.reset();
    const started = performance.now();
    model.prefill(prompt);
    const prefilled = performance.now();
    let token = model.sample();
    for (let step = 0; step < decoded; step += 1) token = model.decodeNext(token);
    const ended = performance.now();
    // The first round warms caches up.
    if (round > 0) {
      prefill.push((length * 1000) / (prefilled - started));
      decode.push((decoded * 1000) / (ended - prefilled));
    }
    context.emit({ type: 'progress', done: round, total: rounds, unit: 'rounds', resumed: 0, note: name });
    await new Promise((resolve) => setImmediate(resolve));
  }
  const result: Measurement = {
    rssBytes: Math.max(0, process.memoryUsage.rss() - before),
    prefillTokensPerSecond: median(prefill),
    decodeTokensPerSecond: median(decode),
    threads,
  };
  model.close();
  await mkdir(join(folder, 'measurements'), { recursive: true });
  await writeFileAtomically(measurementPath(folder, name), `${JSON.stringify(result)}\n`);
  await writeComparison(folder, recipe);
  return result;
}
