/**
 * Ternary codes chosen by what a matrix's inputs are (docs/method.md, 3.2): GPTQ (arXiv 2210.17323), whose later columns make up for what the earlier ones
 * lose, and the channel scales of AWQ (arXiv 2306.00978). Both are computed once, before training, and live on in the latent weights alone.
 */
import { native } from '../../native/index.ts';
import type { Quantisation } from '../contract/quantisation.ts';
import { f16ToFloat, floatToF16 } from '../formats/half-precision.ts';
import { scaleShape } from '../models/configuration.ts';

/** A matrix `[O, K]`, row after row. */
export interface Matrix {
  readonly values: Float32Array;
  readonly shape: readonly [number, number];
}

/** What the inputs `[n, K]` of a matrix are, summed over n tokens. */
export class InputMoments {
  /** X'X `[K, K]`, the upper triangle. */
  readonly hessian: Float64Array;
  /** The absolute inputs `[K]`. */
  readonly sizes: Float64Array;

  constructor(width: number) {
    this.hessian = new Float64Array(width * width);
    this.sizes = new Float64Array(width);
  }

  /** @param inputs `[n, K]` */
  add(inputs: Float32Array): void {
    native.accumulateMoments(inputs, this.hessian, this.sizes);
  }

  /** Those of inputs that are divided by `scales` `[K]`, channel by channel. */
  dividedBy(scales: Float64Array): InputMoments {
    const width = scales.length;
    const divided = new InputMoments(width);
    for (let i = 0; i < width; i += 1) {
      divided.sizes[i] = this.sizes[i]! / scales[i]!;
      for (let j = i; j < width; j += 1)
        divided.hessian[i * width + j] = this.hessian[i * width + j]! / (scales[i]! * scales[j]!);
    }
    return divided;
  }
}

/** Codes of a matrix and their scales, in the order of `scaleShape`. */
export interface Codes {
  /** In {-1, 0, 1}. */
  readonly values: Float32Array;
  readonly scales: Float32Array;
  /** Squared error of the outputs, summed over tokens and rows. */
  readonly error: number;
}

/** Sizes of a +1 that are tried, in units of absmean; 1.53 is the best one for weights of a normal distribution that are rounded one by one. */
const factors = Array.from({ length: 11 }, (_, index) => 1 + index / 10);

/** The one that channel scales are compared with. */
const usualFactor = 1.5;

/** AWQ's exponents of the channels' sizes; 0: no scales. */
const exponents = Array.from({ length: 11 }, (_, index) => index / 10);

type Round = (weights: Float32Array, scales: Float32Array, out: Float32Array, errors: Float64Array) => void;

/** Absmean, as a student's quantiser computes it. */
function absmeanScales({ values, shape }: Matrix, quantisation: Quantisation): Float32Array {
  const scales = new Float32Array(scaleShape(quantisation, shape).reduce((product, each) => product * each, 1));
  native.quantiseTernary(values, new Float32Array(values.length), { scales });
  return scales;
}

/** `scales` times `factor`, rounded as files hold several. */
function scaled(scales: Float32Array, factor: number): Float32Array {
  return scales.map((scale) => (scales.length === 1 ? scale * factor : f16ToFloat(floatToF16(scale * factor))));
}

function totalOf(errors: Float64Array): number {
  return errors.reduce((sum, error) => sum + error, 0);
}

/** The codes of the factor with the least error: one factor for all rows where they share a scale, else the best of each row. */
function leastError(matrix: Matrix, quantisation: Quantisation, round: Round): Codes {
  const [rows, columns] = matrix.shape;
  const absmean = absmeanScales(matrix, quantisation);
  const shared = absmean.length === 1;
  const ofRow = absmean.length / rows;
  const best = {
    values: new Float32Array(matrix.values.length),
    scales: new Float32Array(absmean.length),
    errors: new Float64Array(rows).fill(Infinity),
  };
  const out = new Float32Array(matrix.values.length);
  const errors = new Float64Array(rows);
  for (const factor of factors) {
    const scales = scaled(absmean, factor);
    round(matrix.values, scales, out, errors);
    if (shared) {
      if (totalOf(errors) >= totalOf(best.errors)) continue;
      best.values.set(out);
      best.scales.set(scales);
      best.errors.set(errors);
      continue;
    }
    for (let row = 0; row < rows; row += 1) {
      if (errors[row]! >= best.errors[row]!) continue;
      best.values.set(out.subarray(row * columns, (row + 1) * columns), row * columns);
      best.scales.set(scales.subarray(row * ofRow, (row + 1) * ofRow), row * ofRow);
      best.errors[row] = errors[row]!;
    }
  }
  return { values: best.values, scales: best.scales, error: totalOf(best.errors) };
}

/**
 * GPTQ's codes of matrices that have the same inputs.
 * @param damping what is added to the diagonal of the Hessian, in units of its mean
 */
export function gptqCodes(
  matrices: readonly Matrix[],
  { hessian }: InputMoments,
  quantisation: Quantisation,
  damping: number,
): Codes[] {
  const factor = new Float64Array(hessian.length);
  native.inverseFactor(hessian, damping, factor);
  return matrices.map((matrix) =>
    leastError(matrix, quantisation, (weights, scales, out, errors) =>
      native.roundInOrder(weights, factor, scales, out, errors),
    ),
  );
}

/** Codes of a matrix whose weights are rounded one by one, of the scale with the least error. */
export function nearestCodes(matrix: Matrix, { hessian }: InputMoments, quantisation: Quantisation): Codes {
  return leastError(matrix, quantisation, (weights, scales, out, errors) =>
    native.roundNearest(weights, hessian, scales, out, errors),
  );
}

/** `matrix` with its columns multiplied by `scales` `[K]`. */
export function withScaledColumns({ values, shape }: Matrix, scales: Float64Array): Matrix {
  const [, columns] = shape;
  return { values: values.map((value, at) => value * scales[at % columns]!), shape };
}

/**
 * AWQ's scale of each input channel of matrices that have the same inputs: a power of the channel's mean size, the one that loses least when the matrices are
 * multiplied by it, rounded, and the inputs divided by it.
 * @param channels which channels must have one scale: the number of its group for each; null: each has its own
 * @returns `[K]`; all 1 where nothing loses less
 */
export function channelScales(
  matrices: readonly Matrix[],
  moments: InputMoments,
  quantisation: Quantisation,
  channels: Int32Array | null = null,
): Float64Array {
  const sizes = groupMeans(moments.sizes, channels);
  const floor = 1e-4 * (totalOf(sizes) / sizes.length);
  let best = { scales: new Float64Array(sizes.length).fill(1), error: Infinity };
  for (const exponent of exponents) {
    const powers = sizes.map((size) => (floor > 0 ? Math.max(size, floor) : 1) ** exponent);
    // Neither the largest nor the smallest runs away from 1.
    const middle = Math.sqrt(powers.reduce((a, b) => Math.max(a, b)) * powers.reduce((a, b) => Math.min(a, b)));
    const scales = powers.map((power) => power / middle);
    const { hessian } = moments.dividedBy(scales);
    let error = 0;
    for (const matrix of matrices) {
      const multiplied = withScaledColumns(matrix, scales);
      const errors = new Float64Array(matrix.shape[0]);
      const trial = scaled(absmeanScales(multiplied, quantisation), usualFactor);
      native.roundNearest(multiplied.values, hessian, trial, new Float32Array(matrix.values.length), errors);
      error += totalOf(errors);
    }
    if (error < best.error) best = { scales, error };
  }
  return best.scales;
}

/** The mean of each channel's group, in the place of the channel. */
function groupMeans(values: Float64Array, groups: Int32Array | null): Float64Array {
  if (groups === null) return values;
  const sums = new Map<number, { sum: number; count: number }>();
  for (const [at, group] of groups.entries()) {
    const { sum, count } = sums.get(group) ?? { sum: 0, count: 0 };
    sums.set(group, { sum: sum + values[at]!, count: count + 1 });
  }
  return values.map((_, at) => {
    const { sum, count } = sums.get(groups[at]!)!;
    return sum / count;
  });
}

/** How far from the middle of its bin, in bins, a latent weight lies at most: half a bin would be on the threshold. */
const reach = 0.45;

/**
 * Latent weights of which absmean makes exactly these codes, and these scales to the last digit of a float32. A zero stays where its weight was, as far as its
 * bin reaches; the others are stretched away from the threshold until the mean of all is the scale, so the order of their sizes stays too.
 */
export function latentsOf({ values, shape }: Matrix, { values: codes, scales }: Codes): Float32Array {
  const run = (shape[0] * shape[1]) / scales.length;
  const latents = new Float32Array(values.length);
  for (const [group, scale] of scales.entries()) {
    const start = group * run;
    let ofZeros = 0;
    let beyond = 0;
    let others = 0;
    const excess = (at: number): number => Math.max(0, (codes[at]! * values[at]!) / scale - (1 - reach));
    for (let at = start; at < start + run; at += 1) {
      if (codes[at] === 0) ofZeros += Math.min(reach, Math.abs(values[at]! / scale));
      else {
        others += 1;
        beyond += excess(at);
      }
    }
    if (others === 0) continue;
    const needed = run - ofZeros - others * (1 - reach);
    for (let at = start; at < start + run; at += 1) {
      const code = codes[at]!;
      if (code === 0) latents[at] = scale * Math.max(-reach, Math.min(reach, values[at]! / scale));
      else {
        const share = beyond > 0 ? (needed / beyond) * excess(at) : needed / others;
        latents[at] = code * scale * (1 - reach + share);
      }
    }
  }
  return latents;
}
