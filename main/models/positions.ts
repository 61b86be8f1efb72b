/** The feeds of a layer that depend on positions and its kind alone: rotary tables, and what rows see, made once for every length. */
import type { BackendMemory } from '../graph/backend.ts';
import { wholeRow } from '../graph/operations.ts';
import type { LayerKind, ModelConfiguration } from './configuration.ts';
import { rotaryTables } from './rotary-tables.ts';

/** Masks that are kept. */
const mostMasks = 64;

interface Tables {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly positions: number;
}

export class Positions {
  readonly #configuration: ModelConfiguration;
  readonly #tables = new Map<LayerKind['rope'], Tables>();
  readonly #masks = new Map<string, Float32Array>();

  readonly #windows = new Map<number | null, Float32Array>();
  readonly #memory: BackendMemory;
  readonly #streamsAttention: boolean;

  /**
   * @param memory keeps the tables
   * @param streamsAttention as the layers' graphs do
   */
  constructor(configuration: ModelConfiguration, memory: BackendMemory, streamsAttention: boolean) {
    this.#configuration = configuration;
    this.#memory = memory;
    this.#streamsAttention = streamsAttention;
  }

  #drop({ cos, sin }: Tables): void {
    this.#memory.drop(cos, sin);
  }

  /** Lets the memory give up all of it. */
  release(): void {
    for (const tables of this.#tables.values()) this.#drop(tables);
    this.#memory.drop(...this.#masks.values(), ...this.#windows.values());
    this.#tables.clear();
    this.#masks.clear();
    this.#windows.clear();
  }

  /** cos and sin `[positions, R/2]` of a kind of layer, with at least `length` positions. */
  rotary(length: number, rope: LayerKind['rope']): Tables {
    let tables = this.#tables.get(rope);
    if (!tables || tables.positions < length) {
      if (tables) this.#drop(tables);
      const positions = Math.max(length, 128);
      tables = { ...rotaryTables(this.#configuration, positions, rope), positions };
      this.#memory.keep(tables.cos, tables.sin);
      this.#tables.set(rope, tables);
    }
    return tables;
  }

  /** What rows see (`attentionReach`): a mask, causal and closed before the window, or the window alone. */
  reach(length: number, window: number | null): Record<string, Float32Array> {
    if (!this.#streamsAttention) return { mask: this.#mask(length, window) };
    let array = this.#windows.get(window);
    if (!array) {
      array = Float32Array.of(window ?? wholeRow);
      this.#memory.keep(array);
      this.#windows.set(window, array);
    }
    return { window: array };
  }

  #mask(length: number, window: number | null): Float32Array {
    const width = window === null || window >= length ? length : window;
    const key = `${length} ${width}`;
    let mask = this.#masks.get(key);
    if (!mask) {
      mask = new Float32Array(length * length);
      for (let row = 0; row < length; row += 1) {
        mask.fill(-1e9, row * length + row + 1, (row + 1) * length);
        mask.fill(-1e9, row * length, row * length + Math.max(0, row + 1 - width));
      }
      if (this.#masks.size > mostMasks) {
        this.#memory.drop(...this.#masks.values());
        this.#masks.clear();
      }
      this.#memory.keep(mask);
      this.#masks.set(key, mask);
    }
    return mask;
  }
}
