/**
 * Virtual shards: a step's rows in a fixed number of parts, whose gradients are added in a fixed binary tree. How many ranks share the parts changes
 * no bit: a rank adds a whole branch of the tree, and the ranks' sums are its upper levels.
 */
import { native } from '../../native/index.ts';
import type { ParameterBuffer, ParameterSpecification } from '../models/parameters.ts';
import type { Collective } from './collective.ts';

export interface Shards {
  /** A power of two. */
  readonly count: number;
  /** Of so many ranks that they divide `count`, and `rounded` where that is given. */
  readonly collective: Collective;
  /** See `stretchesOf`; default: `stretchValues`. Changes the order in which the norm of the gradient is summed. */
  readonly stretchValues?: number;
  /**
   * Parts of a step, a divisor of `count`, whose sums are rounded to bfloat16 before they are added; what that leaves out is added to the same part's sum of the next
   * step. Changes of parameters are rounded so too. Absent: nothing is rounded.
   */
  readonly rounded?: number;
}

/** One of the parts of a step. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** The rows of a shard, dealt out in turn: rows that lie together are of similar length, so all shards have about as much to compute. */
export function rowsOfShard(rows: Int32Array, shard: Shard | undefined): Int32Array {
  return shard === undefined ? rows : rows.filter((_, at) => at % shard.count === shard.index);
}

/** Shards of a rank, in order. */
export function ownShards({ count, collective: { rank, size } }: Shards): number[] {
  const each = count / size;
  return Array.from({ length: each }, (_, at) => rank * each + at);
}

/** Parts of a step whose sums a rank has, in order, where these are rounded. */
export function ownParts({ rounded = 0, collective: { rank, size } }: Shards): number[] {
  const each = rounded / size;
  return Array.from({ length: each }, (_, at) => rank * each + at);
}

/** Where the slices of a buffer of `length` values begin, and the end of the last; there are as many slices as shards, whoever holds them. */
export function sliceBounds(length: number, count: number): Float64Array {
  const size = Math.ceil(length / count);
  return Float64Array.from({ length: count + 1 }, (_, at) => Math.min(length, at * size));
}

/** The same for the ranks, each of which holds as many whole slices. */
export function rankBounds(slices: Float64Array, { count, collective: { size } }: Shards): Float64Array {
  return slices.filter((_, at) => at % (count / size) === 0);
}

/** Some of all values, one after the other. */
export interface Range {
  readonly begin: number;
  readonly end: number;
}

/** Parameters whose gradients travel together: whole layers, with what lies before the first and behind the last. Every rank has a part of each. */
export interface Stretch extends Range {
  /** Where its slices begin and the last one ends, seen from `begin`, and the same of the ranks. */
  readonly slices: Float64Array;
  readonly bounds: Float64Array;
}

/** 4 MB: of less, the way counts for more than the bytes. */
const stretchValues = 2 ** 20;

/** Bounds moved up to where a block of a parameter begins, or a parameter ends. @param sizes of the parameters that lie between them */
function alignedBounds(bounds: Float64Array, sizes: readonly number[], block: number): Float64Array {
  return bounds.map((bound) => {
    let start = 0;
    for (const size of sizes) {
      if (bound < start + size) return Math.min(start + size, start + Math.ceil((bound - start) / block) * block);
      start += size;
    }
    return bound;
  });
}

/**
 * Cuts parameters into stretches, so that those of the last layers can travel while the earlier ones' gradients are still computed.
 * @param block values of a parameter that lie in one slice, from its first on
 */
export function stretchesOf(specifications: readonly ParameterSpecification[], shards: Shards, block = 1): Stretch[] {
  const least = shards.stretchValues ?? stretchValues;
  const ends: number[] = [];
  let [begin, end] = [0, 0];
  for (const [at, { layer, size }] of specifications.entries()) {
    end += size;
    const next = specifications[at + 1];
    if (next?.layer === layer || (next && end - begin < least)) continue;
    // What is left at the end goes with what lies before.
    if (!next && end - begin < least) ends.pop();
    ends.push(end);
    begin = end;
  }
  return ends.map((stop, at) => {
    const start = ends[at - 1] ?? 0;
    const sizes = partsBetween(specifications, start, stop).map(({ count }) => count);
    const slices = alignedBounds(sliceBounds(stop - start, shards.count), sizes, block);
    return { begin: start, end: stop, slices, bounds: rankBounds(slices, shards) };
  });
}

/** The part of a stretch that a rank holds. */
export function rangeIn({ begin, bounds }: Stretch, rank: number): Range {
  return { begin: begin + bounds[rank]!, end: begin + bounds[rank + 1]! };
}

/** @param level of the sum: 0 is a summand itself. @param begin where its values lie among all */
export type CompleteSum = (sum: Float32Array, level: number, begin: number) => void;

/** Adds buffers in the order of a binary tree as they come, two of the same level at a time. */
export class TreeSum {
  readonly #make: () => ParameterBuffer;
  readonly #free: ParameterBuffer[] = [];
  readonly #open: { level: number; buffer: ParameterBuffer }[] = [];

  /** @param make another buffer; of `count` summands at most log2(count) + 1 are needed */
  constructor(make: () => ParameterBuffer) {
    this.#make = make;
  }

  /** A buffer for the next summand, to be filled and given to `add`. */
  take(): ParameterBuffer {
    return this.#free.pop() ?? this.#make();
  }

  /** Adds all but the last summand. @param complete is given each sum before it is added to another */
  add(buffer: ParameterBuffer, complete: CompleteSum = () => undefined): void {
    let level = 0;
    let sum = buffer;
    complete(sum.values, level, 0);
    while (this.#open.at(-1)?.level === level) {
      const earlier = this.#open.pop()!.buffer;
      native.accumulate(earlier.values, sum.values);
      this.#free.push(sum);
      sum = earlier;
      level += 1;
      complete(sum.values, level, 0);
    }
    this.#open.push({ level, buffer: sum });
  }

  /** Adds a range of the last of a power of two of summands, whose other values may not be there yet. @returns where the sum of all is, in that range */
  addLast(buffer: ParameterBuffer, { begin, end }: Range, complete: CompleteSum = () => undefined): Float32Array {
    let sum = buffer.values.subarray(begin, end);
    complete(sum, 0, begin);
    for (const { level, buffer: earlier } of this.#open.toReversed()) {
      const values = earlier.values.subarray(begin, end);
      native.accumulate(values, sum);
      sum = values;
      complete(sum, level + 1, begin);
    }
    return sum;
  }

  /** When all ranges of the last summand were added. @returns the sum, to be given back with `recycle` */
  end(last: ParameterBuffer): ParameterBuffer {
    const [root = last, ...others] = [...this.#open.splice(0).map(({ buffer }) => buffer), last];
    this.#free.push(...others);
    return root;
  }

  recycle(buffer: ParameterBuffer): void {
    this.#free.push(buffer);
  }
}

/** A parameter as far as it lies in a stretch of all parameters one after the other. */
export interface ParameterPart {
  readonly specification: ParameterSpecification;
  /** First of its values that lies there, seen from its own first, and from the first of all parameters. */
  readonly from: number;
  readonly at: number;
  readonly count: number;
}

/** What lies between the values `begin` and `end` of all parameters. */
export function partsBetween(
  specifications: readonly ParameterSpecification[],
  begin: number,
  end: number,
): ParameterPart[] {
  let offset = 0;
  return specifications.flatMap((specification) => {
    const start = offset;
    offset += specification.size;
    const at = Math.max(begin, start);
    const count = Math.min(end, offset) - at;
    return count <= 0 ? [] : [{ specification, from: at - start, at, count }];
  });
}
