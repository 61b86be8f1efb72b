/** Scores of label words in the native runtime or in llama.cpp: the figures of the evaluation (main/evaluation/answer-classes.ts), from an exported file. */
import type { StudentModel } from '../../../native/runtime.ts';
import type { LabelScore } from '../../contract/helper-protocol.ts';
import { probabilities } from '../../evaluation/calibration.ts';
import type { LlamaCppModel } from '../../llama-cpp/index.ts';
import type { LabelWords } from './label-words.ts';

/**
 * Log-probability of each class's answer after `prompt`, summed over its tokens, and its share among the classes. Starts the conversation anew.
 * @param temperature that of the model's evaluation (docs/method.md, 11), which makes probabilities of the shares
 */
export function scoreLabels(
  model: StudentModel,
  prompt: Int32Array,
  labels: LabelWords,
  temperature = 1,
): LabelScore[] {
  model.reset();
  model.prefill(prompt);
  const first = model.lastLogits();
  const shift = logSumExp(first);
  const scores = labels.ids.map((answer) => {
    if (answer.length === 1) return first[answer[0]!]! - shift;
    model.reset(prompt.length);
    return logProbability(answer, first, shift, model.logits(answer.subarray(0, -1)));
  });
  return shares(labels, scores, temperature);
}

/**
 * A conversation beside others: forgets all but its first `length` tokens, appends `ids` and gives the logits [wanted, vocabulary] of the last of them. Null
 * where it was cancelled.
 */
export type AppendBeside = (length: number, ids: Int32Array, wanted: number) => Promise<Float32Array | null>;

/** The same scores, bit for bit; null where it was cancelled. */
export async function scoreLabelsBeside(
  append: AppendBeside,
  prompt: Int32Array,
  labels: LabelWords,
  temperature = 1,
): Promise<LabelScore[] | null> {
  const first = await append(0, prompt, 1);
  if (first === null) return null;
  const shift = logSumExp(first);
  const scores: number[] = [];
  for (const answer of labels.ids) {
    const rest = answer.length === 1 ? first : await append(prompt.length, answer.subarray(0, -1), answer.length - 1);
    if (rest === null) return null;
    scores.push(logProbability(answer, first, shift, rest));
  }
  return shares(labels, scores, temperature);
}

/** Of an answer, from the logits before its first token, their `logSumExp`, and the logits after each of its tokens but the last. */
function logProbability(answer: Int32Array, first: Float32Array, shift: number, rest: Float32Array): number {
  const width = first.length;
  let score = first[answer[0]!]! - shift;
  for (let next = 1; next < answer.length; next += 1) {
    const row = rest.subarray((next - 1) * width, next * width);
    score += row[answer[next]!]! - logSumExp(row);
  }
  return score;
}

/** The same scores from llama.cpp. */
export async function scoreLabelsInLlamaCpp(
  model: Pick<LlamaCppModel, 'branches'>,
  prompt: Int32Array,
  labels: LabelWords,
  temperature = 1,
): Promise<LabelScore[]> {
  const found = await model.branches(
    prompt,
    labels.ids.map((answer) => answer.subarray(0, -1)),
  );
  const shift = logSumExp(found.prompt);
  const scores = labels.ids.map((answer, label) =>
    found.branches[label]!.reduce(
      (score, row, index) => score + row[answer[index + 1]!]! - logSumExp(row),
      found.prompt[answer[0]!]! - shift,
    ),
  );
  return shares(labels, scores, temperature);
}

function shares({ classes }: LabelWords, scores: readonly number[], temperature: number): LabelScore[] {
  const found = probabilities(scores, temperature);
  return classes.map((label, index) => ({
    label,
    probability: found[index]!,
    logProbability: scores[index]!,
  }));
}

/** log of the sum of exponentials, without overflow. */
export function logSumExp(values: Iterable<number>): number {
  let greatest = -Infinity;
  for (const value of values) greatest = Math.max(greatest, value);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - greatest);
  return greatest + Math.log(sum);
}
