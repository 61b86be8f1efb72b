/**
 * What a rounded exchange leaves out and carries over (docs/method.md, 12). The sums of a fixed number of parts of a step are rounded to bfloat16, whoever
 * has them, and so is the change of each parameter: how many ranks share the parts changes no bit.
 */
import { native } from '../../native/index.ts';
import { ParameterBuffer } from '../models/parameters.ts';

export class ExchangeRests {
  /** Of the sums of the own parts, by their number. */
  readonly gradients: ReadonlyMap<number, ParameterBuffer>;
  /** Of the changes of the own range of parameters. */
  readonly change: Float32Array;
  readonly #changes: Float32Array;

  /**
   * @param parameters all of them
   * @param parts numbers of the own parts
   * @param range own range of parameters
   */
  constructor(
    parameters: ParameterBuffer,
    parts: readonly number[],
    { begin, end }: { readonly begin: number; readonly end: number },
  ) {
    this.gradients = new Map(parts.map((part) => [part, new ParameterBuffer(parameters.specifications)]));
    this.change = new Float32Array(end - begin);
    this.#changes = new Float32Array(end - begin);
  }

  /** Rounds the sum of a part. */
  round(part: number, sum: ParameterBuffer): void {
    native.roundWithRest(sum.values, this.gradients.get(part)!.values);
  }

  /**
   * Takes a step of the own parameters back.
   * @param step changes them in place
   * @returns the rounded change that every rank has to make; valid until the next call
   */
  changeOf(own: Float32Array, step: () => void): Float32Array {
    const changes = this.#changes;
    changes.set(own);
    step();
    for (let at = 0; at < own.length; at += 1) {
      const before = changes[at]!;
      changes[at] = own[at]! - before;
      own[at] = before;
    }
    native.roundWithRest(changes, this.change);
    return changes;
  }
}
