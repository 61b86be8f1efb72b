/** One exported model's answer to one input, for the playground: label scores for classification, streamed text for generation. */
import { availableParallelism } from 'node:os';
import { loadModel } from '../../native/runtime.ts';
import type { Generation, StudentModel } from '../../native/runtime.ts';
import type { AnswerRequest, RuntimeMessage } from '../contract/runtime-protocol.ts';
import { openDataset } from '../formats/datasets/index.ts';
import { compileTemplate, loadTokenizer } from '../formats/tokenizers/index.ts';
import type { Tokenizer } from '../formats/tokenizers/index.ts';
import { chooseLabelWords, type LabelWords } from './label-words.ts';
import { defaultTemplate } from './task-data.ts';

type Say = (message: RuntimeMessage) => void;

/** Threads that leave one core to the interface. */
export function politeThreads(): number {
  return Math.max(1, availableParallelism() - 1);
}

/** @throws TritsmithError or StudentError for a file that is no model, a template that does not compile, a task without labels */
export async function answerOnce(request: AnswerRequest, say: Say): Promise<void> {
  const { task } = request;
  const tokenizer = await loadTokenizer(request.tokenizer);
  const render = compileTemplate(task.template === '' ? defaultTemplate(task.textColumns) : task.template);
  const prompt = render(request.input);
  const model = loadModel(request.path, { threads: politeThreads() });
  try {
    say({
      type: 'loaded',
      seconds: model.info.loadSeconds,
      weightBytes: model.info.weightBytes,
      kernel: model.info.kernel,
    });
    const reserved = task.kind === 'classification' ? 8 : request.maxTokens;
    const ids = fitted(tokenizer.encode(prompt), Math.min(task.maxLength, model.info.contextLength) - reserved);
    if (task.kind === 'classification') {
      const labels = chooseLabelWords(tokenizer, await classesOf(task), task.labelWords, prompt.slice(-8));
      const started = performance.now();
      say(scoreLabels(model, ids, labels));
      say(answered(model, ids.length, labels.ids.length, (performance.now() - started) / 1000, 0));
    } else {
      const { tokens, prefillSeconds, decodeSeconds } = await generate(model, tokenizer, ids, request.maxTokens, say);
      say(answered(model, ids.length, tokens.length, prefillSeconds, decodeSeconds));
    }
  } finally {
    model.close();
  }
}

function answered(
  model: StudentModel,
  promptTokens: number,
  answerTokens: number,
  prefillSeconds: number,
  decodeSeconds: number,
): RuntimeMessage {
  const { residentBytes } = model;
  return { type: 'answered', promptTokens, answerTokens, prefillSeconds, decodeSeconds, residentBytes };
}

/** The prompt, cut in the middle as in training when it is too long. */
function fitted(ids: number[], room: number): Int32Array {
  if (ids.length <= room) return Int32Array.from(ids);
  const head = Math.ceil(Math.max(1, room) / 2);
  return Int32Array.from([...ids.slice(0, head), ...ids.slice(ids.length - (Math.max(1, room) - head))]);
}

/** Class values of the training rows, in the order of training. */
async function classesOf(task: AnswerRequest['task']): Promise<string[]> {
  const found = new Set<string>();
  for await (const { values } of (await openDataset(task.train)).rows()) {
    const label = (values[task.labelColumn] ?? '').trim();
    if (label !== '') found.add(label);
    if (found.size > 1000) break;
  }
  return [...found].sort();
}

function scoreLabels(model: StudentModel, ids: Int32Array, labels: LabelWords): RuntimeMessage {
  model.prefill(ids);
  const first = logSoftmax(model.lastLogits());
  const scores = labels.ids.map((answer) => {
    let score = first[answer[0]!]!;
    if (answer.length === 1) return score;
    model.reset(ids.length);
    const logits = model.logits(answer.subarray(0, -1));
    const width = logits.length / (answer.length - 1);
    for (let next = 1; next < answer.length; next++)
      score += logSoftmax(logits.subarray((next - 1) * width, next * width))[answer[next]!]!;
    return score;
  });
  const best = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - best));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return {
    type: 'labels',
    scores: labels.classes.map((label, index) => ({ label, probability: weights[index]! / sum })),
  };
}

function logSoftmax(logits: Float32Array): Float32Array {
  let greatest = -Infinity;
  for (const value of logits) if (value > greatest) greatest = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - greatest);
  const shift = greatest + Math.log(sum);
  return logits.map((value) => value - shift);
}

async function generate(
  model: StudentModel,
  tokenizer: Tokenizer,
  ids: Int32Array,
  maxTokens: number,
  say: Say,
): Promise<Generation> {
  const tokens: number[] = [];
  let told = '';
  return model.generate(ids, { maxTokens, stopTokens: tokenizer.eosId === null ? [] : [tokenizer.eosId] }, (token) => {
    tokens.push(token);
    const text = tokenizer.decode(tokens, { skipSpecialTokens: true });
    // A character of several tokens is told when it is whole.
    if (text.endsWith('\u{fffd}') || !text.startsWith(told)) return undefined;
    if (text.length > told.length) say({ type: 'token', text: text.slice(told.length) });
    told = text;
    return undefined;
  });
}
