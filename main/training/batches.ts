/**
 * Which rows an optimiser step sees, as a pure function of the seed and the step: a run resumes anywhere without stored
 * positions. Rows of similar length share a batch, so that little padding is computed.
 */
import { createHash } from 'node:crypto';
import { Random } from './random.ts';
import type { MicroBatch } from './training-step.ts';

/** A tokenised training row: prompt and response, of which only the response is learned. */
export interface Example {
  readonly ids: Int32Array;
  /** Index of the first response token. */
  readonly responseStart: number;
}

/** Batches whose rows are drawn from a window of this many batches and sorted by length inside it. */
const windowBatches = 32;

/** The order of one epoch: indices of examples, batch after batch. */
export function epochOrder(lengths: Int32Array, batchSize: number, seed: number, epoch: number): Int32Array[] {
  const random = new Random((seed ^ Math.imul(epoch + 1, 0x9e3779b1)) >>> 0);
  const order = random.shuffle(Int32Array.from(lengths.keys()));
  const batches: Int32Array[] = [];
  for (let start = 0; start < order.length; start += batchSize * windowBatches) {
    const window = order.subarray(start, start + batchSize * windowBatches);
    const sorted = Int32Array.from([...window].sort((a, b) => lengths[a]! - lengths[b]! || a - b));
    for (let at = 0; at < sorted.length; at += batchSize) batches.push(sorted.slice(at, at + batchSize));
  }
  return random.shuffle(batches);
}

/** Pads rows to one micro-batch. Token 0 is the padding; it is never learned and never looked at. */
export function packMicroBatch(rows: readonly Example[]): MicroBatch {
  const length = Math.max(...rows.map(({ ids }) => ids.length));
  const ids = new Int32Array(rows.length * length);
  const positions: number[] = [];
  const targets: number[] = [];
  rows.forEach((row, index) => {
    ids.set(row.ids, index * length);
    for (let at = row.responseStart; at < row.ids.length; at += 1) {
      positions.push(index * length + at - 1);
      targets.push(row.ids[at]!);
    }
  });
  return {
    ids,
    batch: rows.length,
    length,
    lengths: rows.map((row) => row.ids.length),
    targetPositions: Int32Array.from(positions),
    targets: Int32Array.from(targets),
  };
}

/** Cuts rows into micro-batches of at most `microBatchTokens` tokens, padding counted (one row always fits). */
export function microBatches(rows: readonly Example[], microBatchTokens: number): MicroBatch[] {
  const sorted = [...rows].sort((a, b) => a.ids.length - b.ids.length);
  const result: MicroBatch[] = [];
  let open: Example[] = [];
  for (const row of sorted) {
    if (open.length > 0 && row.ids.length * (open.length + 1) > microBatchTokens) {
      result.push(packMicroBatch(open));
      open = [];
    }
    open.push(row);
  }
  if (open.length > 0) result.push(packMicroBatch(open));
  return result;
}

/** Where a trainer gets its steps from. */
export interface BatchSource {
  readonly stepsPerEpoch: number;
  /** Hex digest of the data behind the steps: a resumed run must meet the same. */
  readonly fingerprint: string;
  /** Micro-batches of a 1-based optimiser step. */
  at(step: number): Promise<MicroBatch[]>;
}

/** Steps over labelled rows: shuffled anew each epoch. */
export function exampleBatches(
  examples: readonly Example[],
  settings: { batchSize: number; microBatchTokens: number; seed: number },
): BatchSource {
  const lengths = Int32Array.from(examples, ({ ids }) => ids.length);
  const stepsPerEpoch = Math.ceil(examples.length / settings.batchSize);
  let cached: { epoch: number; order: Int32Array[] } | null = null;
  const hash = createHash('sha256').update(lengths);
  for (const { ids } of examples) hash.update(ids);
  return {
    stepsPerEpoch,
    fingerprint: hash.digest('hex'),
    at: (step) => {
      const epoch = Math.floor((step - 1) / stepsPerEpoch);
      if (cached?.epoch !== epoch)
        cached = { epoch, order: epochOrder(lengths, settings.batchSize, settings.seed, epoch) };
      const batch = cached.order[(step - 1) % stepsPerEpoch]!;
      const rows = [...batch].map((index) => examples[index]!);
      return Promise.resolve(microBatches(rows, settings.microBatchTokens));
    },
  };
}
