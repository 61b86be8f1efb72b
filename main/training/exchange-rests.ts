/**
 * What a rounded exchange leaves out and carries over (docs/method.md, 12). The sums of a fixed number of parts of a step are rounded to bfloat16, whoever
 * has them, and so is the change of each parameter: how many ranks share the parts changes no bit.
 */
import { native } from '../../native/index.ts';
import { ParameterBuffer } from '../models/parameters.ts';
import type { Range } from './shards.ts';

export class ExchangeRests {
  /** Of the sums of the own parts, by their number. */
  readonly gradients: ReadonlyMap<number, ParameterBuffer>;
  /** Of the changes of the own parameters, one after the other. */
  readonly change: Float32Array;
  readonly #changes: Float32Array;
  readonly #ranges: readonly Range[];

  /**
   * @param parameters all of them
   * @param parts numbers of the own parts
   * @param ranges of the own parameters, in their order
   */
  constructor(parameters: ParameterBuffer, parts: readonly number[], ranges: readonly Range[]) {
    this.gradients = new Map(parts.map((part) => [part, new ParameterBuffer(parameters.specifications)]));
    this.#ranges = ranges;
    const count = ranges.reduce((sum, { begin, end }) => sum + end - begin, 0);
    this.change = new Float32Array(count);
    this.#changes = new Float32Array(count);
  }

  /** Rounds values of the sum of a part, the first of which is the value `begin` of all. */
  round(part: number, sum: Float32Array, begin: number): void {
    native.roundWithRest(sum, this.gradients.get(part)!.values.subarray(begin, begin + sum.length));
  }

  /**
   * Takes a step of the own parameters back.
   * @param parameters all of them
   * @param step changes the own ones in place
   * @returns the rounded changes of the own ones, which every rank has to make; valid until the next call
   */
  changeOf(parameters: Float32Array, step: () => void): Float32Array {
    const changes = this.#changes;
    let first = 0;
    for (const { begin, end } of this.#ranges) {
      changes.set(parameters.subarray(begin, end), first);
      first += end - begin;
    }
    step();
    let at = 0;
    for (const { begin, end } of this.#ranges)
      for (let value = begin; value < end; value += 1, at += 1) {
        const before = changes[at]!;
        changes[at] = parameters[value]! - before;
        parameters[value] = before;
      }
    native.roundWithRest(changes, this.change);
    return changes;
  }
}
