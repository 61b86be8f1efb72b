/**
 * The exchange of a step's gradients between ranks, a stretch at a time (`stretchesOf`), the last one first: what is final travels while the pass
 * backward computes the rest (docs/architecture.md, "More than one machine").
 */
import type { Collective } from './collective.ts';
import type { Stretch } from './shards.ts';

export class GradientExchange {
  readonly #collective: Collective;
  readonly #sumOf: (stretch: Stretch) => Float32Array;
  readonly #halved: boolean;
  readonly #left: Stretch[];
  #underWay: Promise<void> = Promise.resolve();

  /**
   * @param sumOf makes the sum of what this rank adds of a stretch, whose gradients are final
   * @param halved see `Collective.reduceSlices`
   */
  constructor(
    collective: Collective,
    stretches: readonly Stretch[],
    sumOf: (stretch: Stretch) => Float32Array,
    halved: boolean,
  ) {
    this.#collective = collective;
    this.#left = [...stretches];
    this.#sumOf = sumOf;
    this.#halved = halved;
  }

  /** Sends on its way what lies from the value `from` on: its gradients are final. */
  readonly final = (from: number): void => {
    while (this.#left.length > 0 && this.#left.at(-1)!.begin >= from) {
      const stretch = this.#left.pop()!;
      const sum = this.#sumOf(stretch);
      // Exchanges are collective: one at a time, in one order at all ranks.
      this.#underWay = this.#underWay.then(() => this.#collective.reduceSlices(sum, stretch.bounds, this.#halved));
      // Heard at the end; the pass backward must not be ended by it half-way.
      this.#underWay.catch(() => undefined);
    }
  };

  /** When all gradients are final: sends the rest. @returns when everything has come */
  end(): Promise<void> {
    this.final(0);
    return this.#underWay;
  }
}
