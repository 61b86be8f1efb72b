/** The feeds of a layer that depend on positions alone: rotary tables and the causal mask, made once for every length. */
import type { ModelConfiguration } from './configuration.ts';
import { rotaryTables } from './rotary-tables.ts';

/** Lengths whose masks are kept. */
const mostMasks = 64;

export class Positions {
  readonly #configuration: ModelConfiguration;
  #tables: { cos: Float32Array; sin: Float32Array; positions: number } | null = null;
  readonly #masks = new Map<number, Float32Array>();

  constructor(configuration: ModelConfiguration) {
    this.#configuration = configuration;
  }

  /** cos and sin `[positions, D/2]` with at least `length` positions. */
  rotary(length: number): { cos: Float32Array; sin: Float32Array; positions: number } {
    if (!this.#tables || this.#tables.positions < length) {
      const positions = Math.max(length, 128);
      this.#tables = { ...rotaryTables(this.#configuration, positions), positions };
    }
    return this.#tables;
  }

  /** Additive causal mask `[T, T]`. */
  mask(length: number): Float32Array {
    let mask = this.#masks.get(length);
    if (!mask) {
      mask = new Float32Array(length * length);
      for (let row = 0; row < length; row += 1) mask.fill(-1e9, row * length + row + 1, (row + 1) * length);
      if (this.#masks.size > mostMasks) this.#masks.clear();
      this.#masks.set(length, mask);
    }
    return mask;
  }
}
