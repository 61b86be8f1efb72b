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
export function rankBounds(length: number, { count, collective: { size } }: Shards): Float64Array {
  return sliceBounds(length, count).filter((_, at) => at % (count / size) === 0);
}

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

  /** @param complete is given each sum before it is added to another, with its level: 0 is the summand itself */
  add(buffer: ParameterBuffer, complete: (sum: ParameterBuffer, level: number) => void = () => undefined): void {
    let level = 0;
    let sum = buffer;
    complete(sum, level);
    while (this.#open.at(-1)?.level === level) {
      const earlier = this.#open.pop()!.buffer;
      native.accumulate(earlier.values, sum.values);
      this.#free.push(sum);
      sum = earlier;
      level += 1;
      complete(sum, level);
    }
    this.#open.push({ level, buffer: sum });
  }

  /** The sum of a whole number of trees: there must have been a power of two of summands. To be given back with `recycle`. */
  end(): ParameterBuffer {
    const [root] = this.#open.splice(0);
    return root!.buffer;
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
