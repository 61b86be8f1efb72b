/** Measures one exported model in the native runtime: resident memory, prefill, decode, one request of the task. One process per model. */
import { join } from 'node:path';
import { loadModel, type StudentModel } from '../../../native/runtime.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import { runsInRuntime } from '../../contract/recipe.ts';
import type { Measurement, TypicalRequest } from '../../contract/results.ts';
import type { TrainedModel } from '../../contract/model-names.ts';
import { readEvaluation, readExportList, writeMeasurement } from '../../experiment/results.ts';
import { compareModels, measuredFile } from './comparison.ts';
import { median } from '../../basics/numbers.ts';
import type { JobContext } from '../job.ts';

const promptTokens = 128;
const decodedTokens = 64;
export const rounds = 5;
/** One, so that models and machines compare: small models lose by waiting for a second thread. */
const threads = 1;

/** Lengths that every model is measured with: 128 and 64, less where the context is shorter. */
export function measuredLengths(contextLength: number): { prompt: number; decoded: number } {
  const prompt = Math.min(promptTokens, Math.floor(contextLength / 2));
  return { prompt, decoded: Math.min(decodedTokens, contextLength - prompt - 1) };
}

/** Printable tokens that no model treats specially. */
export function promptOf(length: number, vocabularySize: number): Int32Array {
  return Int32Array.from({ length }, (_, index) => (index * 7 + 5) % vocabularySize);
}

/** Seconds for reading `prompt` and for the `answer` tokens after the first, which comes with the prompt's last token. */
function answerTime(model: StudentModel, prompt: Int32Array, answer: number): { prefill: number; decode: number } {
  model.reset();
  const started = performance.now();
  model.prefill(prompt);
  let token = model.sample();
  const prefilled = performance.now();
  for (let step = 0; step < answer; step += 1) token = model.decodeNext(token);
  return { prefill: (prefilled - started) / 1000, decode: (performance.now() - prefilled) / 1000 };
}

/** Seconds of one request, where the context holds it. */
function requestTime(model: StudentModel, request: TypicalRequest | undefined): number | null {
  if (request === undefined || request.promptTokens + request.answerTokens > model.info.contextLength) return null;
  const prompt = promptOf(request.promptTokens, model.info.vocabularySize);
  const { prefill, decode } = answerTime(model, prompt, request.answerTokens - 1);
  return prefill + decode;
}

/**
 * Medians of five rounds on one thread: tokens per second of a prompt of 128 tokens and of 64 decoded ones (less where the context is
 * shorter), seconds of one request of the task, and how much the process's resident memory grew by loading and running the model. A model of
 * which no file runs in our runtime (experiments of older versions) is not measured, and the log says so.
 */
export async function measureModel(
  name: TrainedModel,
  { recipe, folder }: JobSpec,
  context: JobContext,
): Promise<Measurement | { measured: false }> {
  const files = readExportList(folder);
  if (!files) throw new TritsmithError('not-found', 'export.nothing-to-measure', { model: name });
  const file = measuredFile(files, name);
  if (!file || !runsInRuntime(file)) {
    context.emit({ type: 'log', level: 'warning', text: `${name}: not measured. No file of it runs in our runtime.` });
    return { measured: false };
  }
  const request = readEvaluation(folder, name)?.request;
  const before = process.memoryUsage.rss();
  const model = loadModel(join(folder, file.path), { threads });
  const { prompt: length, decoded } = measuredLengths(model.info.contextLength);
  const prompt = promptOf(length, model.info.vocabularySize);
  const prefill: number[] = [];
  const decode: number[] = [];
  const requests: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const times = answerTime(model, prompt, decoded);
    const seconds = requestTime(model, request);
    // The first round warms caches up.
    if (round > 0) {
      prefill.push(length / times.prefill);
      decode.push(decoded / times.decode);
      if (seconds !== null) requests.push(seconds);
    }
    context.emit({ type: 'progress', done: round, total: rounds, unit: 'rounds', resumed: 0, note: name });
    await new Promise((resolve) => setImmediate(resolve));
  }
  const result: Measurement = {
    rssBytes: Math.max(0, process.memoryUsage.rss() - before),
    prefillTokensPerSecond: median(prefill),
    decodeTokensPerSecond: median(decode),
    requestSeconds: requests.length === 0 ? null : median(requests),
    threads,
  };
  model.close();
  await writeMeasurement(folder, name, result);
  await compareModels(folder, recipe);
  return result;
}
