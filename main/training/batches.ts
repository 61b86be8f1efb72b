/**
 * Which rows an optimiser step sees, as a pure function of the seed and the step: a run resumes anywhere without stored
 * positions. Rows of similar length share a batch, so that little padding is computed.
 */
import { Random } from '../basics/random.ts';
import { rowsOfShard, type Shard } from './shards.ts';
import type { MicroBatch } from './training-step.ts';

/** A tokenised training row: prompt and response, of which only the response is learned. */
export interface Example {
  readonly ids: Int32Array;
  /** Index of the first response token. */
  readonly responseStart: number;
  /** Its number among the rows that it comes from, where that matters. */
  readonly row?: number;
}

/** Batches whose rows are drawn from a window of this many batches and sorted by length inside it. */
const windowBatches = 32;

/** The batches of one epoch. */
export interface EpochOrder {
  readonly batches: number;
  /** Indices of the examples of a batch. */
  at(batch: number): Int32Array;
}

/** Which examples make up which batch of an epoch. Only the window around a batch is sorted, so that a step's work does not grow with the rows. */
export function epochOrder(lengths: Int32Array, batchSize: number, seed: number, epoch: number): EpochOrder {
  const random = new Random((seed ^ Math.imul(epoch + 1, 0x9e3779b1)) >>> 0);
  const rows = random.shuffle(Int32Array.from(lengths.keys()));
  const turns = random.shuffle(Int32Array.from({ length: Math.ceil(rows.length / batchSize) }, (_, index) => index));
  return {
    batches: turns.length,
    at: (batch) => {
      const turn = turns[batch]!;
      const first = (turn % windowBatches) * batchSize;
      const start = turn * batchSize - first;
      const window = rows.slice(start, start + batchSize * windowBatches);
      return window.sort((a, b) => lengths[a]! - lengths[b]! || a - b).slice(first, first + batchSize);
    },
  };
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
  const numbers = rows.flatMap(({ row }) => row ?? []);
  return {
    ids,
    batch: rows.length,
    length,
    lengths: rows.map((row) => row.ids.length),
    targetPositions: Int32Array.from(positions),
    targets: Int32Array.from(targets),
    ...(numbers.length === rows.length ? { rows: numbers } : {}),
  };
}

/** Sorts rows by length and cuts them into groups of at most `microBatchTokens` tokens, padding counted (one row always fits). */
export function groupsOfRows<Row>(
  rows: readonly Row[],
  lengthOf: (row: Row) => number,
  microBatchTokens: number,
): Row[][] {
  const result: Row[][] = [];
  for (const row of [...rows].sort((a, b) => lengthOf(a) - lengthOf(b))) {
    const open = result.at(-1);
    if (open === undefined || lengthOf(row) * (open.length + 1) > microBatchTokens) result.push([row]);
    else open.push(row);
  }
  return result;
}

/** Rows as micro-batches of at most `microBatchTokens` tokens, padding counted. */
export function microBatches(rows: readonly Example[], microBatchTokens: number): MicroBatch[] {
  return groupsOfRows(rows, ({ ids }) => ids.length, microBatchTokens).map(packMicroBatch);
}

/** Where a trainer gets its steps from. */
export interface BatchSource<Batch = MicroBatch> {
  readonly stepsPerEpoch: number;
  /** Hex digest of the data behind the steps: a resumed run must meet the same. */
  readonly fingerprint: string;
  /** Micro-batches of a 1-based optimiser step; with `shard` those of this part of its rows, which may have none. */
  at(step: number, shard?: Shard): Promise<Batch[]>;
}

/** Labelled rows by number, wherever they are kept. */
export interface ExampleRows {
  /** Tokens of each row. */
  readonly lengths: Int32Array;
  /** Hex digest of all of them. */
  readonly fingerprint: string;
  read(index: number): Promise<Example>;
}

/** Steps over rows, shuffled anew each epoch. @param make the micro-batches of the rows of a step */
export function shuffledBatches<Batch>(
  { lengths, fingerprint }: Pick<ExampleRows, 'lengths' | 'fingerprint'>,
  settings: { batchSize: number; seed: number },
  make: (rows: Int32Array) => Promise<Batch[]>,
): BatchSource<Batch> {
  const stepsPerEpoch = Math.ceil(lengths.length / settings.batchSize);
  let cached: { epoch: number; order: EpochOrder } | null = null;
  return {
    stepsPerEpoch,
    fingerprint,
    at: async (step, shard) => {
      const epoch = Math.floor((step - 1) / stepsPerEpoch);
      if (cached?.epoch !== epoch)
        cached = { epoch, order: epochOrder(lengths, settings.batchSize, settings.seed, epoch) };
      return make(rowsOfShard(cached.order.at((step - 1) % stepsPerEpoch), shard));
    },
  };
}

/** Steps over labelled rows. */
export function exampleBatches(
  rows: ExampleRows,
  settings: { batchSize: number; microBatchTokens: number; seed: number },
): BatchSource {
  return shuffledBatches(rows, settings, async (indices) => {
    const examples = [];
    for (const index of indices) examples.push({ ...(await rows.read(index)), row: index });
    return microBatches(examples, settings.microBatchTokens);
  });
}
