/** The usual way to make a model small, to compare with: the fine-tuned teacher as Q4_0 in llama.cpp, evaluated and measured there. */
import { join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { ExportSettings, Recipe } from '../../contract/recipe.ts';
import type { ExportedFile, Measurement, ModelEvaluation, TypicalRequest } from '../../contract/results.ts';
import { fourBitModel } from '../../contract/model-names.ts';
import type { JobResults } from '../../contract/job-results.ts';
import type { ClassifiedRow } from '../../evaluation/answer-classes.ts';
import { findLlamaCpp, type LlamaCppModel, startLlamaCpp } from '../../llama-cpp/index.ts';
import { trainedModelFolders } from '../../experiment/folder.ts';
import { readEvaluation, readExportList, writeMeasurement } from '../../experiment/results.ts';
import { median } from '../../basics/numbers.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import { compareModels, measuredFile } from './comparison.ts';
import { classifierEvaluation, writeEvaluations, writerEvaluation } from './evaluations.ts';
import { exportModels } from '../export/export-models.ts';
import { type JobContext, JobStopped, obeyStop } from '../job.ts';
import { logSumExp, scoreLabelsInLlamaCpp } from '../task/label-scores.ts';
import type { LabelWords } from '../task/label-words.ts';
import { measuredLengths, promptOf, rounds } from './measure.ts';
import { politeThreads } from '../answer/polite-threads.ts';
import type { EvaluationRow } from '../task/evaluation-rows.ts';
import { openTask } from '../task/open-task.ts';
import type { PreparedTask } from '../task/task-data.ts';
import type { WrittenAnswers } from './written-answers.ts';

const name = fourBitModel;

/** Embedding as llama.cpp's own quantiser has it beside Q4_0 weights: Q6_K, or Q8_0 where rows are no multiple of 256. */
async function fourBitExport({ teacher }: Recipe): Promise<ExportSettings> {
  const { hiddenSize } = await modelConfiguration(teacher);
  return { type: 'q4_0', embedding: hiddenSize % 256 === 0 ? 'q6_k' : 'q8_0' };
}

/** The teacher's Q4_0 file; written now where there is none of these weights. */
async function fourBitFile(spec: JobSpec, context: JobContext): Promise<ExportedFile> {
  const { recipe, folder } = spec;
  const settings = await fourBitExport(recipe);
  const listed = measuredFile(readExportList(folder) ?? [], name);
  if (listed !== undefined) return listed;
  const exports = [...recipe.exports, settings];
  await exportModels({ ...spec, recipe: { ...recipe, exports }, exports: [settings] }, context);
  return measuredFile(readExportList(folder)!, name)!;
}

/** Tells how far it is and obeys a stop between two rows. */
type OnRow = (done: number) => void;

async function classify(
  model: LlamaCppModel,
  rows: readonly EvaluationRow[],
  labels: LabelWords,
  onRow: OnRow,
): Promise<ClassifiedRow[]> {
  const found: ClassifiedRow[] = [];
  for (const { prompt } of rows) {
    const scores = (await scoreLabelsInLlamaCpp(model, prompt, labels)).map(({ logProbability }) => logProbability);
    found.push({ predicted: scores.indexOf(Math.max(...scores)), scores });
    onRow(found.length);
  }
  return found;
}

async function write(
  model: LlamaCppModel,
  rows: readonly EvaluationRow[],
  endId: number | null,
  maxNewTokens: number,
  onRow: OnRow,
): Promise<WrittenAnswers> {
  const answers: number[][] = [];
  let likelihood = 0;
  let tokens = 0;
  for (const { prompt, referenceIds } of rows) {
    const written = await model.greedy(prompt, maxNewTokens);
    const end = endId === null ? -1 : written.indexOf(endId);
    answers.push(end < 0 ? written : written.slice(0, end));
    const ids = Int32Array.from([...prompt, ...referenceIds.subarray(0, -1)]);
    for (const [at, row] of (await model.logits(ids, prompt.length - 1)).entries()) {
      if (at >= referenceIds.length) break;
      likelihood += row[referenceIds[at]!]! - logSumExp(row);
      tokens += 1;
    }
    onRow(answers.length);
  }
  return { answers, crossEntropy: -likelihood / Math.max(1, tokens) };
}

/** Keys and values in float32, as for the other models. */
async function evaluate(
  component: string,
  path: string,
  recipe: Recipe,
  task: PreparedTask,
  tokenizer: Tokenizer,
  onRow: OnRow,
): Promise<ModelEvaluation> {
  const { threads, seed } = recipe;
  const { maxLength, maxNewTokens } = recipe.task;
  const model = await startLlamaCpp(component, path, {
    // Its threads busy-wait, so a thread beyond the free cores slows all.
    threads: threads === 0 ? politeThreads() : threads,
    contextLength: maxLength + maxNewTokens,
    kvType: 'f32',
  });
  try {
    return task.labels
      ? classifierEvaluation(name, task, task.labels, await classify(model, task.dev, task.labels, onRow))
      : writerEvaluation(
          name,
          task,
          tokenizer,
          await write(model, task.dev, tokenizer.eosId, maxNewTokens, onRow),
          seed,
        );
  } finally {
    await model.close();
  }
}

/** As `measureModel`: one thread, the same prompt and answer lengths, medians of as many rounds after one that warms up. */
async function measure(
  component: string,
  path: string,
  { teacher }: Recipe,
  request: TypicalRequest,
): Promise<Measurement> {
  const { vocabSize, maxPositions } = await modelConfiguration(teacher);
  const { prompt, decoded } = measuredLengths(maxPositions);
  const longest = Math.max(prompt + decoded, request.promptTokens + request.answerTokens);
  const model = await startLlamaCpp(component, path, {
    threads: 1,
    contextLength: Math.min(maxPositions, longest + 1),
  });
  const prefill: number[] = [];
  const decode: number[] = [];
  const requests: number[] = [];
  try {
    for (let round = 0; round <= rounds; round += 1) {
      const whole = await model.timed(promptOf(prompt, vocabSize), decoded);
      const one = await model.timed(promptOf(request.promptTokens, vocabSize), request.answerTokens - 1);
      if (round === 0) continue;
      prefill.push(prompt / whole.prefillSeconds);
      decode.push(decoded / whole.decodeSeconds);
      requests.push(one.prefillSeconds + one.decodeSeconds);
    }
    return {
      rssBytes: Math.max(0, (await model.residentBytes()) - model.bareBytes),
      prefillTokensPerSecond: median(prefill),
      decodeTokensPerSecond: median(decode),
      requestSeconds: median(requests),
      threads: 1,
    };
  } finally {
    await model.close();
  }
}

async function compareInFourBits(component: string, spec: JobSpec, context: JobContext): Promise<number> {
  const { recipe, folder } = spec;
  const path = join(folder, (await fourBitFile(spec, context)).path);
  const { task, tokenizer } = await openTask(spec, () => obeyStop(context));
  const evaluation = await evaluate(component, path, recipe, task, tokenizer, (done) => {
    const request = context.stopRequested();
    if (request) throw new JobStopped(request, 0);
    context.emit({ type: 'progress', done, total: task.dev.length, unit: 'rows', resumed: 0, note: name });
  });
  const others: ModelEvaluation[] = [];
  for (const other of trainedModelFolders(folder, recipe)) {
    const known = readEvaluation(folder, other.name);
    if (known !== null) others.push(known);
  }
  const measured = await measure(component, path, recipe, evaluation.request!);
  await writeEvaluations(folder, task, [...others, evaluation], recipe.seed);
  await writeMeasurement(folder, name, measured);
  await compareModels(folder, recipe);
  return evaluation.value;
}

/**
 * Leaves the 4-bit teacher's evaluation, measurement and file. The experiment does not need it, so whatever is in its way (llama.cpp not
 * installed, or not able to run this model) is the result and not a failure.
 */
export async function fourBitBaseline(spec: JobSpec, context: JobContext): Promise<JobResults['four-bit']> {
  const component = findLlamaCpp();
  if (component === null) {
    const missing = new TritsmithError('not-found', 'four-bit.no-llama-cpp');
    context.emit({ type: 'log', level: 'info', text: missing.message });
    return { compared: false, problem: missing.serialise() };
  }
  try {
    return { compared: true, value: await compareInFourBits(component, spec, context) };
  } catch (thrown) {
    if (thrown instanceof JobStopped) throw thrown;
    const problem = TritsmithError.from(thrown);
    const text = [`The 4-bit teacher was left out. ${problem.message}`, problem.reason].filter(Boolean).join(' ');
    context.emit({ type: 'log', level: 'warning', text });
    return { compared: false, problem: problem.serialise() };
  }
}
