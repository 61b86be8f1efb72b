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
    let score = first[answer[0]!]! - shift;
    if (answer.length === 1) return score;
    model.reset(prompt.length);
    const logits = model.logits(answer.subarray(0, -1));
    const width = model.info.vocabularySize;
    for (let next = 1; next < answer.length; next += 1) {
      const row = logits.subarray((next - 1) * width, next * width);
      score += row[answer[next]!]! - logSumExp(row);
    }
    return score;
  });
  return shares(labels, scores, temperature);
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
