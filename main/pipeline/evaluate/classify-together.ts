/** Rows that the ranks of a job classify together: each some of the batches, and all know what came out. */
import { type ClassifiedRow, classifyRows } from '../../evaluation/answer-classes.ts';
import type { Network } from '../../models/network.ts';
import type { ScoringHead } from '../../models/scoring-head.ts';
import type { Collective } from '../../training/collective.ts';

/** As `classifyRows`, whose batches it has too. @param onRows called at every rank with about how many rows are done */
export async function classifyTogether(
  { rank, size, gatherNumbers }: Collective,
  network: Network,
  head: ScoringHead,
  prompts: readonly Int32Array[],
  answers: readonly Int32Array[],
  onRows?: (done: number) => Promise<void>,
): Promise<ClassifiedRow[]> {
  if (size === 1) return classifyRows(network, head, prompts, answers, onRows);
  const own = await classifyRows(
    network,
    head,
    prompts,
    answers,
    (done) => onRows?.(Math.min(prompts.length, done * size)) ?? Promise.resolve(),
    undefined,
    (batch) => batch % size === rank,
  );
  // Of each row: whether it was computed here, its class, its scores.
  const width = 2 + answers.length;
  const numbers = new Float64Array(prompts.length * width);
  own.forEach(({ predicted, scores }, row) => numbers.set([1, predicted, ...scores], row * width));
  const all = await gatherNumbers(numbers);
  return prompts.map((_, row) => {
    for (let other = 0; other < size; other += 1) {
      const [computed, predicted, ...scores] = all.subarray(other * numbers.length + row * width).subarray(0, width);
      if (computed === 1) return { predicted: predicted!, scores };
    }
    throw new Error(`no rank classified row ${row}`);
  });
}
