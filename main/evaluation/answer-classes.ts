/** Classification by comparing the scores of label words, and generation by greedy decoding, on the graph engine. */
import { argmax } from '../basics/numbers.ts';
import type { Network } from '../models/network.ts';
import type { ScoringHead } from '../models/scoring-head.ts';

export interface ClassifiedRow {
  /** Index of the class with the best score. */
  readonly predicted: number;
  /** Log-probability of each class's answer, summed over its tokens. */
  readonly scores: readonly number[];
}

interface Padded {
  readonly ids: Int32Array;
  readonly batch: number;
  readonly length: number;
}

/** Rows padded on the right with token 0. */
function pad(rows: readonly ArrayLike<number>[]): Padded {
  const length = Math.max(...rows.map((row) => row.length));
  const ids = new Int32Array(rows.length * length);
  rows.forEach((row, index) => ids.set(row, index * length));
  return { ids, batch: rows.length, length };
}

/** Indices of rows, shortest first, cut into batches of at most `tokens` tokens with padding. */
function batchesByLength(lengths: readonly number[], tokens: number): number[][] {
  const order = [...lengths.keys()].sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  const batches: number[][] = [];
  for (const index of order) {
    const last = batches.at(-1);
    if (last && lengths[index]! * (last.length + 1) <= tokens) last.push(index);
    else batches.push([index]);
  }
  return batches;
}

/**
 * Scores every class's answer after each prompt.
 * @param answers response tokens per class
 * @param onRows called with the number of rows done so far; may throw to stop
 * @param computes false for batches that others compute: the rows of those are missing from the result
 */
export async function classifyRows(
  network: Network,
  head: ScoringHead,
  prompts: readonly Int32Array[],
  answers: readonly Int32Array[],
  onRows: (done: number) => Promise<void> = () => Promise.resolve(),
  tokensAtOnce = 4096,
  computes: (batch: number) => boolean = () => true,
): Promise<ClassifiedRow[]> {
  const results = new Array<ClassifiedRow>(prompts.length);
  const classes = answers.length;
  const single = answers.every((answer) => answer.length === 1);
  const longest = Math.max(...answers.map((answer) => answer.length));
  const lengths = prompts.map((prompt) => prompt.length + (single ? 0 : longest));
  let done = 0;
  const batches = batchesByLength(lengths, single ? tokensAtOnce : Math.ceil(tokensAtOnce / classes));
  for (const [number, batch] of batches.entries()) {
    if (!computes(number)) continue;
    const scores = batch.map(() => new Array<number>(classes).fill(0));
    if (single) {
      const padded = pad(batch.map((index) => prompts[index]!));
      const { hidden } = await network.forward(padded);
      const positions = Int32Array.from(batch, (index, row) => row * padded.length + prompts[index]!.length - 1);
      const targets = Int32Array.from(batch.flatMap(() => answers.map((answer) => answer[0]!)));
      const logP = await head.logProbabilities(hidden, positions, targets, classes);
      scores.forEach((row, index) => row.forEach((_, at) => (row[at] = logP[index * classes + at]!)));
    } else {
      const rows = batch.flatMap((index) => answers.map((answer) => [...prompts[index]!, ...answer]));
      const padded = pad(rows);
      const { hidden } = await network.forward(padded);
      const positions: number[] = [];
      const targets: number[] = [];
      batch.forEach((index, row) =>
        answers.forEach((answer, at) => {
          const start = (row * classes + at) * padded.length + prompts[index]!.length - 1;
          answer.forEach((token, offset) => {
            positions.push(start + offset);
            targets.push(token);
          });
        }),
      );
      const logP = await head.logProbabilities(hidden, Int32Array.from(positions), Int32Array.from(targets), 1);
      let cursor = 0;
      for (const row of scores)
        answers.forEach((answer, at) => {
          for (let token = 0; token < answer.length; token += 1, cursor += 1) row[at]! += logP[cursor]!;
        });
    }
    batch.forEach((index, row) => {
      const found = scores[row]!;
      results[index] = { predicted: found.indexOf(Math.max(...found)), scores: found };
    });
    done += batch.length;
    await onRows(done);
  }
  return results;
}

/** Greedy continuation of each prompt until `endId` or `maxNewTokens`; without a cache of keys and values. */
export async function generateRows(
  network: Network,
  head: ScoringHead,
  prompts: readonly Int32Array[],
  endId: number | null,
  maxNewTokens: number,
  onRows: (done: number) => Promise<void> = () => Promise.resolve(),
  tokensAtOnce = 8192,
): Promise<number[][]> {
  const results = prompts.map((): number[] => []);
  const { vocabSize } = network.configuration;
  let done = 0;
  for (const batch of batchesByLength(
    prompts.map((prompt) => prompt.length + maxNewTokens),
    tokensAtOnce,
  )) {
    let open = batch;
    for (let step = 0; step < maxNewTokens && open.length > 0; step += 1) {
      const rows = open.map((index) => [...prompts[index]!, ...results[index]!]);
      const padded = pad(rows);
      const { hidden } = await network.forward(padded);
      const positions = Int32Array.from(rows, (row, at) => at * padded.length + row.length - 1);
      const logits = await head.logits(hidden, positions);
      open = open.filter((index, row) => {
        const scores = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
        const best = argmax(scores);
        if (best === endId) return false;
        results[index]!.push(best);
        return true;
      });
      await onRows(done);
    }
    done += batch.length;
    await onRows(done);
  }
  return results;
}
