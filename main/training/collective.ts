/**
 * What the ranks of a run exchange (docs/architecture.md, "More than one machine"). Every call is collective: all ranks make it, in the same order.
 * Sums are added in one fixed tree, so that they do not depend on how many ranks share the work.
 */
import { native } from '../../native/index.ts';

export interface Collective {
  /** From 0; the root writes files and says what happens. */
  readonly rank: number;
  readonly size: number;
  /** Where the rank runs. */
  readonly node: string;
  /** Numbers of all ranks, as many of each, in the order of the ranks. */
  gatherNumbers(own: Float64Array): Promise<Float64Array>;
  /** Fills `bytes`, which are as many everywhere, with those of the rank `root`. */
  broadcast(bytes: Uint8Array, root: number): Promise<void>;
  /**
   * The own range of `values` becomes the sum over all ranks, added pairwise in their order; the rest of `values` is used up.
   * @param bounds rank r has `values[bounds[r]]` to `values[bounds[r + 1]]`
   * @param halved all values are bfloat16 numbers, and travel in two bytes each: nothing is rounded on the way
   */
  reduceSlices(values: Float32Array, bounds: Float64Array, halved?: boolean): Promise<void>;
  /**
   * Puts every rank's own range in its place in `all`, at every rank, or at `root` alone.
   * @param own values of the own range; may be a part of `all`
   * @param all null where nothing is received
   */
  gatherSlices(own: Float32Array, all: Float32Array | null, bounds: Float64Array, root?: number): Promise<void>;
  /** Adds every rank's `own`, which are bfloat16 numbers and travel in two bytes each, to its range of `all`, at every rank. */
  addSlices(own: Float32Array, all: Float32Array, bounds: Float64Array): Promise<void>;
  /** Bytes that this rank gave to the others so far. */
  sent(): number;
}

/** A process without others. */
export const alone: Collective = {
  rank: 0,
  size: 1,
  node: '',
  gatherNumbers: (own) => Promise.resolve(own.slice()),
  broadcast: () => Promise.resolve(),
  reduceSlices: () => Promise.resolve(),
  gatherSlices: (own, all) => {
    // Where it is a part of `all`, it is in its place.
    if (all !== null && all.buffer !== own.buffer) all.set(own);
    return Promise.resolve();
  },
  addSlices: (own, all) => {
    native.accumulate(all, own);
    return Promise.resolve();
  },
  sent: () => 0,
};

export function isRoot({ rank }: Collective): boolean {
  return rank === 0;
}

/** The root's number, at every rank. */
export async function agree(collective: Collective, own: number): Promise<number> {
  return collective.size === 1 ? own : (await collective.gatherNumbers(Float64Array.of(own)))[0]!;
}

/** Returns when every rank has come here. */
export async function meet(collective: Collective): Promise<void> {
  await agree(collective, 0);
}

/** Texts of all ranks, in their order. */
export async function gatherTexts(collective: Collective, own: string): Promise<string[]> {
  if (collective.size === 1) return [own];
  const bytes = new TextEncoder().encode(own);
  const lengths = await collective.gatherNumbers(Float64Array.of(bytes.length));
  const texts: string[] = [];
  for (const [rank, length] of lengths.entries()) {
    const theirs = rank === collective.rank ? bytes : new Uint8Array(length);
    await collective.broadcast(theirs, rank);
    texts.push(new TextDecoder().decode(theirs));
  }
  return texts;
}

/** What is JSON at the root, at every rank; the others' `own` is not looked at. */
export async function fromRoot<T>(collective: Collective, own: T): Promise<T> {
  if (collective.size === 1) return own;
  const text = isRoot(collective) ? JSON.stringify(own) : '';
  return JSON.parse((await gatherTexts(collective, text))[0]!) as T;
}

/** The root does its work first, and writes what the others, which follow, find there. */
export async function rootFirst<T>(collective: Collective, work: () => Promise<T>): Promise<T> {
  if (!isRoot(collective)) await meet(collective);
  const result = await work();
  if (isRoot(collective)) await meet(collective);
  return result;
}
