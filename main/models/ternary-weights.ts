/** The ternary weights of a network: made of its latent weights, in the layouts that the layers' graphs are fed. */
import { native, type TernarySettings } from '../../native/index.ts';
import type { ElementBuffer } from '../graph/backend.ts';
import { keptOf, type Quantisation, type ScaleFormula, type Sparsity } from '../contract/quantisation.ts';
import { type ModelConfiguration, type Projection, scaleCount } from './configuration.ts';
import { deltaName, transposedName } from './decoder-layer.ts';
import { learnedScaleName, ParameterBuffer, type ParameterSpecification } from './parameters.ts';

/** Counts over the ternary weights of one layer. */
export interface TernaryCounts {
  zeros: number;
  positives: number;
  flips: number;
  /** Zeros by the n:m rule alone, and weights that it treats otherwise than before; 0 without such a rule. */
  masked: number;
  maskFlips: number;
  total: number;
}

/** Bytes of one ternary weight where products run in float32, its latent value not counted: float32, the code that it began with, its share of an n:m rule's mask. */
export function softWeightBytes({ quantisation }: Pick<ModelConfiguration, 'quantisation'>): number {
  const { sparsity } = quantisation.weights;
  return 4 + 1 / 4 + (sparsity ? 1 / keptOf(sparsity).of : 0);
}

/** The same in training, which has a copy in int8 for the forward pass besides. */
export function ternaryWeightBytes(configuration: Pick<ModelConfiguration, 'quantisation'>): number {
  return softWeightBytes(configuration) + 1;
}

function scalesFor(quantisation: Quantisation, shape: readonly number[]): Float32Array {
  return new Float32Array(scaleCount(quantisation, [shape[0]!, shape[1]!]));
}

/** What `native.quantiseTernary` makes the scales of: a formula, or sizes that were learned. */
function sizesOf(scale: ScaleFormula, learned: Float32Array | null): Pick<TernarySettings, 'scale' | 'learned'> {
  if (scale !== 'learned') return { scale };
  if (learned === null) throw new Error('a matrix lacks its learned scales');
  return { learned };
}

/** What `native.quantiseTernary` takes of an n:m rule, with a mask that keeps nothing yet. */
function maskFor(sparsity: Sparsity, weights: number): { keep: number; of: number; exact: boolean; mask: Uint8Array } {
  const kept = keptOf(sparsity);
  return { ...kept, mask: new Uint8Array(weights / kept.of) };
}

/**
 * A matrix `[O, K]` as a student computes with it: values in {-1, 0, 1}, and the scales in the order of `scaleShape`.
 * @param learned its scales, where they are learned
 */
export function quantiseMatrix(
  latent: Float32Array,
  shape: readonly number[],
  quantisation: Quantisation,
  learned: Float32Array | null = null,
): { values: Float32Array; scales: Float32Array } {
  const values = new Float32Array(latent.length);
  const scales = scalesFor(quantisation, shape);
  const { scale, sparsity } = quantisation.weights;
  const sparse = sparsity && maskFor(sparsity, latent.length);
  native.quantiseTernary(latent, values, {
    scales,
    ...sizesOf(scale, learned),
    columns: shape[1]!,
    ...(sparse && { sparsity: sparse }),
  });
  return { values, scales };
}

/**
 * Sets learned scales to where they start: the means of the absolute weights, so that a student with learned scales begins as one of absmean (docs/method.md, 2.10).
 * @param which of the parameters with learned scales; default: all
 */
export function startLearnedScales(parameters: ParameterBuffer, which = parameters.specifications): void {
  for (const { name, scaleOf } of which) {
    if (scaleOf === null) continue;
    const weights = parameters.view(scaleOf);
    native.quantiseTernary(weights, new Float32Array(weights.length), { scales: parameters.view(name) });
  }
}

export class TernaryWeights {
  readonly #latent: ParameterBuffer;
  readonly #specifications: readonly ParameterSpecification[];
  readonly #formula: ScaleFormula;
  /** As float32 `[O, K]`; null where nothing but the forward pass in int8 runs. */
  readonly #values: ParameterBuffer | null;
  /** Takes the float32 values of one matrix after the other where they are not kept. */
  readonly #scratch: Float32Array;
  /** As int8 `[K, O]`; empty where products run in float32. */
  readonly #transposed = new Map<string, Int8Array>();
  /** Of each matrix, in the shape of `scaleShape`. */
  readonly #scales = new Map<string, Float32Array>();
  /** Of each matrix; empty without an n:m rule. */
  readonly #masks = new Map<string, ReturnType<typeof maskFor>>();
  #share = 1;
  #sharpness = Infinity;
  /** Codes as they were at `mark`, four to a byte. */
  readonly #marks = new Map<string, Uint8Array>();

  /** @param backward whether a backward pass will run, which needs the float32 values */
  constructor(
    latent: ParameterBuffer,
    { quantisation }: Pick<ModelConfiguration, 'quantisation'>,
    products: 'int8' | 'float32',
    backward: boolean,
  ) {
    this.#latent = latent;
    this.#formula = quantisation.weights.scale;
    this.#specifications = latent.specifications.filter((specification) => specification.ternary);
    this.#values = backward || products === 'float32' ? new ParameterBuffer(this.#specifications) : null;
    const largest = Math.max(0, ...this.#specifications.map(({ size }) => size));
    this.#scratch = new Float32Array(this.#values ? 0 : largest);
    for (const { name, size, shape } of this.#specifications) {
      this.#scales.set(name, scalesFor(quantisation, shape));
      const { sparsity } = quantisation.weights;
      if (sparsity) this.#masks.set(name, maskFor(sparsity, size));
      if (products === 'int8') this.#transposed.set(name, new Int8Array(size));
    }
  }

  /**
   * Quantises the latent weights again.
   * @param share below 1 while annealing: how far the weights that compute have gone from the latent ones (0) to the ternary ones (1)
   * @param sharpness below infinity while codes are soft (docs/method.md, 3.1)
   * @returns counts over the matrices of each layer; `flips` since the last call, 0 where no backward pass runs
   */
  refresh(share: number, sharpness: number): TernaryCounts[] {
    this.#share = share;
    this.#sharpness = sharpness;
    const layers: TernaryCounts[] = [];
    for (const { name, shape, size, layer } of this.#specifications) {
      const values = this.#values?.view(name) ?? this.#scratch.subarray(0, size);
      const scales = this.#scales.get(name)!;
      const sparsity = this.#masks.get(name);
      const found = native.quantiseTernary(this.#latent.view(name), values, {
        scales,
        ...sizesOf(this.#formula, this.#formula === 'learned' ? this.#latent.view(learnedScaleName(name)) : null),
        columns: shape[1]!,
        share,
        ...(sparsity && { sparsity }),
      });
      if (sharpness < Infinity) {
        native.softenTernary(this.#latent.view(name), scales, sharpness, values);
        if (sparsity) native.maskWeights(values, sparsity.mask);
      }
      const transposed = this.#transposed.get(name);
      if (transposed) {
        if (share < 1 || sharpness < Infinity)
          throw new Error('annealed weights need a network that computes in float32');
        native.transposeTernary(values, shape[1]!, transposed);
      }
      const counts = (layers[layer!] ??= { zeros: 0, positives: 0, flips: 0, masked: 0, maskFlips: 0, total: 0 });
      counts.zeros += found.zeros;
      counts.positives += found.positives;
      counts.flips += this.#values ? found.flips : 0;
      counts.masked += found.masked;
      counts.maskFlips += found.maskFlips;
      counts.total += size;
    }
    return layers;
  }

  /** Gradients of learned scales, from those with respect to the weights that computed: before `chainSoft`. */
  scaleGradients(gradients: ParameterBuffer, layer?: number): void {
    if (this.#formula !== 'learned') return;
    for (const { name } of this.#specifications.filter((each) => layer === undefined || each.layer === layer))
      native.learnedScaleGradient(
        this.#latent.view(name),
        this.#scales.get(name)!,
        gradients.view(name),
        gradients.view(learnedScaleName(name)),
        this.#share,
        this.#sharpness,
      );
  }

  /** Turns gradients with respect to the soft weights that computed into those of the latent ones; hard codes have the straight-through estimator. */
  chainSoft(gradients: ParameterBuffer, layer?: number): void {
    if (this.#sharpness === Infinity) return;
    for (const { name } of this.#specifications.filter((each) => layer === undefined || each.layer === layer))
      native.chainSoftTernary(this.#latent.view(name), this.#scales.get(name)!, this.#sharpness, gradients.view(name));
  }

  /** Keeps the present codes. */
  mark(): void {
    for (const { name, size } of this.#specifications) {
      const marks = this.#marks.get(name) ?? new Uint8Array(Math.ceil(size / 4));
      native.packTernary(this.#float32(name), marks);
      this.#marks.set(name, marks);
    }
  }

  /** Weights whose code is another one than at `mark`. */
  countMoved(): number {
    let moved = 0;
    for (const [name, marks] of this.#marks) moved += native.countMoved(this.#float32(name), marks);
    return moved;
  }

  /** Values `[O, K]` of a matrix and its scale, of several their mean, as the last `refresh` left them. */
  read(name: string): { values: Float32Array; delta: number } {
    const scales = this.#scales.get(name)!;
    const sum = scales.reduce((total, scale) => total + scale, 0);
    return { values: this.#float32(name), delta: sum / scales.length };
  }

  /** What a layer's graphs take for one projection. */
  feeds(projection: Projection, name: string): Record<string, ElementBuffer> {
    const transposed = this.#transposed.get(name);
    return {
      ...(this.#values ? { [projection]: this.#values.view(name) } : {}),
      ...(transposed ? { [transposedName(projection)]: transposed } : {}),
      [deltaName(projection)]: this.#scales.get(name)!,
    };
  }

  /** Everything that `feeds` gives parts of. */
  arrays(): ElementBuffer[] {
    return [...(this.#values ? [this.#values.values] : []), ...this.#transposed.values(), ...this.#scales.values()];
  }

  #float32(name: string): Float32Array {
    if (!this.#values) throw new Error(`the float32 values of ${name} are not kept for inference`);
    return this.#values.view(name);
  }
}
