/** Repeatable random numbers: xoshiro128** (Blackman and Vigna, 2018), seeded by SplitMix32. */
export class Random {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    this.#state = new Uint32Array(4);
    let z = seed >>> 0;
    for (let index = 0; index < 4; index += 1) {
      z = (z + 0x9e3779b9) >>> 0;
      let t = z ^ (z >>> 16);
      t = Math.imul(t, 0x21f0aaad);
      t ^= t >>> 15;
      t = Math.imul(t, 0x735a2d97);
      this.#state[index] = t ^ (t >>> 15);
    }
  }

  /** A whole number in [0, 2^32). */
  next(): number {
    const s = this.#state;
    const product = Math.imul(s[1]!, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = (s[3]! << 11) | (s[3]! >>> 21);
    return result;
  }

  /** A number in [0, 1) with 32 random bits. */
  uniform(): number {
    return this.next() / 2 ** 32;
  }

  /** A whole number in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.uniform() * bound);
  }

  /** A standard normal number (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Fisher-Yates, in place. */
  shuffle<T extends Int32Array | unknown[]>(items: T): T {
    for (let index = items.length - 1; index > 0; index -= 1) {
      const other = this.below(index + 1);
      const kept = items[index]!;
      items[index] = items[other]!;
      items[other] = kept;
    }
    return items;
  }
}
