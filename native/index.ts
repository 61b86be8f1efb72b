/**
 * Typed door to the native addon. Every array is allocated by the caller (Electron's memory cage forbids external
 * ArrayBuffers); native code fills it. All functions are deterministic: the result does not depend on the thread count.
 */
import { addon } from './addon.ts';

/** What quantising one matrix found. */
export interface TernaryStatistics {
  /** What a +1 stands for (docs/method.md, 2.1); of several scales the mean. */
  delta: number;
  /** Zeros among the new ternary values. */
  zeros: number;
  /** And those that are +1. */
  positives: number;
  /** Values that differ from what `out` held before. */
  flips: number;
  /** Values that are 0 because of `sparsity` alone. */
  masked: number;
  /** Weights that `sparsity` keeps and did not before, or the other way round. */
  maskFlips: number;
}

export interface AdamWSettings {
  /** 1-based step, for the bias correction. */
  step: number;
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decoupled weight decay of this range. */
  weightDecay: number;
  /** Factor on every gradient before use (clipping, averaging over micro-batches). */
  gradientScale: number;
}

/** Values that share one scale of each moment in `ByteMoments`. */
export const momentBlock = 256;

/** Moments of a range of values in a byte each (docs/method.md, 5.10). Bytes are those of whole blocks, and scales are one a block. */
export interface ByteMoments {
  readonly first: Uint8Array;
  readonly second: Uint8Array;
  readonly firstScales: Float32Array;
  readonly secondScales: Float32Array;
}

export interface TernarySettings {
  /**
   * Receives the scales; each belongs to `weights.length / scales.length` consecutive weights. Several are rounded to F16, which is how files hold them.
   * Absent: one scale, which is `TernaryStatistics.delta`.
   */
  scales?: Float32Array;
  /**
   * The scale is the mean of the absolute weights (default), or their median: of an even number the lower one of the two in the middle. Two formulas of BitDistill's
   * released code (docs/method.md, 2.6): `deviation` has one scale and needs `columns`, `row-levels` one for each row.
   */
  scale?: 'absmean' | 'absmedian' | 'deviation' | 'row-levels';
  /** Sizes that are parameters and take the place of a formula (docs/method.md, 2.10); as many as there are scales, and rounded and kept above 1e-5 as these are. */
  learned?: Float32Array;
  /** Weights of a row, for `deviation`. */
  columns?: number;
  /** Below 1 while annealing. Default 1. */
  share?: number;
  /**
   * Of every `of` (4 or 8) consecutive weights the `keep` largest stay, of equal ones the first; the others are 0, and count for the scale as all do. `mask` has a byte
   * for each group, bit i for its weight i; it is read for `maskFlips` and written. `exact` (3 of 4, absmean): those that stay become their sign, 0 counting as
   * positive, and the scale is the mean of what stays (docs/method.md, 2.7).
   */
  sparsity?: { keep: number; of: number; mask: Uint8Array; exact?: boolean };
}

export interface ProductShape {
  rows: number;
  columns: number;
  inner: number;
  /** A lies as `[inner, rows]`. */
  turnedA?: boolean;
  /** B lies as `[columns, inner]`. */
  turnedB?: boolean;
  /** One of `productSets`; absent: the fastest. */
  set?: string;
}

export interface NativeTraining {
  /**
   * `out[i] = T[i] = clamp(round(W[i] / delta), -1, 1)` as float32 (round half to even), delta = max(mean|W|, 1e-5) with the mean summed in
   * double. With a `share` below 1 (annealing) `out[i] = W[i] / delta + share * (T[i] - W[i] / delta)`; zeros and flips count T either way.
   */
  quantiseTernary(weights: Float32Array, out: Float32Array, settings?: TernarySettings): TernaryStatistics;
  /**
   * From now on this process keeps the memory that it frees (glibc; elsewhere nothing happens). A training step allocates and frees the same large
   * blocks again and again, and fetching their pages from the system each time takes a tenth of the step.
   */
  keepFreedMemory(): void;
  /** Ternary values `[O, columns]` as int8 `[columns, O]`, the layout that ONNX Runtime's integer product takes. */
  transposeTernary(values: Float32Array, columns: number, out: Int8Array): void;
  /**
   * Softened ternary values (docs/method.md, 3.1): `out[i] = (tanh(s (u - 1/2)) + tanh(s (u + 1/2))) / (2 tanh s)` with `u = W[i] / delta` and `s` the
   * `sharpness`, above 0. They go from u (s near 0) to the ternary value (s large), and lie beyond one half where it is not 0.
   * @param scales each of as many consecutive weights
   */
  softenTernary(weights: Float32Array, scales: Float32Array, sharpness: number, out: Float32Array): void;
  /** `gradient[i]` times the slope of `softenTernary` at `W[i] / delta`: from a gradient with respect to `delta * out` one with respect to W. */
  chainSoftTernary(weights: Float32Array, scales: Float32Array, sharpness: number, gradient: Float32Array): void;
  /**
   * Gradients of learned scales (docs/method.md, 2.10): `out[i] = share / sqrt(weights.length)` times the sum over the run of scale i of `gradient[j] * r(u)`, `u = W[j] / scales[i]`, summed in
   * double. `r` is `T(u) - u`, and beyond 1.485 the sign of u times 1.5. With a finite `sharpness` codes are soft (`softenTernary`), and r is exact: `soft(u) - u soft'(u)`.
   * @param gradient with respect to the weights that compute, `scales[i]` times their ternary or soft values
   * @param share see `TernarySettings`
   * @param sharpness infinite for hard codes
   */
  learnedScaleGradient(
    weights: Float32Array,
    scales: Float32Array,
    gradient: Float32Array,
    out: Float32Array,
    share: number,
    sharpness: number,
  ): void;
  /** Sets what a mask of `TernarySettings.sparsity` leaves out to 0. */
  maskWeights(values: Float32Array, mask: Uint8Array): void;
  /** The ternary value of `values[i]` in two bits (value + 1) of `out`, four to a byte from the lowest bits up; what is beyond one half counts as 1. */
  packTernary(values: Float32Array, out: Uint8Array): void;
  /** How many ternary values of `values` differ from those in `packed`. */
  countMoved(values: Float32Array, packed: Uint8Array): number;
  /** `target[i] += source[i]`. */
  accumulate(target: Float32Array, source: Float32Array): void;
  /** `values[i] + rest[i]` becomes the bfloat16 number nearest to it (half to even), and `rest[i]` what that leaves out. NaN stays NaN. */
  roundWithRest(values: Float32Array, rest: Float32Array): void;
  /** Row i of `out` [n, width] becomes row `ids[i]` of `table` [V, width]; throws RangeError on an id outside the table. */
  gatherRows(table: Float32Array, ids: Int32Array, width: number, out: Float32Array): void;
  /** Row `ids[i]` of `table` [V, width] += `scale` * row i of `rows` [n, width], in the order of i. */
  scatterAddRows(table: Float32Array, ids: Int32Array, width: number, rows: Float32Array, scale: number): void;
  /** Sum of squares in double, in a fixed order of partial sums. NaN or infinity come through. */
  squaredNorm(values: Float32Array): number;
  /** One AdamW step over a range, in place (decoupled decay: p -= lr * decay * p first, as PyTorch does). */
  adamW(
    parameters: Float32Array,
    gradients: Float32Array,
    firstMoment: Float32Array,
    secondMoment: Float32Array,
    settings: AdamWSettings,
  ): void;
  /**
   * The same with moments in bytes. The second one is rounded up or down at random, by `settings.step` and the number of the block alone.
   * @param block number of the first block
   */
  adamWBytes(
    parameters: Float32Array,
    gradients: Float32Array,
    moments: ByteMoments,
    settings: AdamWSettings,
    block: number,
  ): void;
  /**
   * `out [rows, columns] = A [rows, inner] B [inner, columns]` with both factors rounded to bfloat16 (half to even) and sums in float32. The same bits with any set
   * of instructions and any number of threads, but for numbers below 2^-126.
   * @throws RangeError for lengths that do not fit the shape
   */
  multiplyRounded(a: Float32Array, b: Float32Array, out: Float32Array, shape: ProductShape): void;
  /** Sets of instructions for it that this processor has, the fastest first. */
  productSets(): string[];
  /** Threads that the functions above may use. */
  setThreads(threads: number): void;
}

/** What a calibration computes, in double (docs/method.md, 3.2). `K` is the width of a matrix's input; of a symmetric matrix the upper triangle counts. */
export interface NativeCalibration {
  /**
   * Of rows `inputs` [n, K]: `hessian` [K, K] += inputs' inputs, `sizes` [K] += the absolute inputs.
   * @throws RangeError where the lengths do not fit
   */
  accumulateMoments(inputs: Float32Array, hessian: Float64Array, sizes: Float64Array): void;
  /**
   * The upper triangular U with U' U = (hessian + damping * mean of its diagonal)^-1, GPTQ's factor; what lies below the diagonal is 0. Takes room for another
   * [K, K] while it computes. @throws RangeError where the hessian is not finite
   */
  inverseFactor(hessian: Float64Array, damping: number, out: Float64Array): void;
  /**
   * GPTQ: ternary values `out` of `weights` [O, K], column after column; what one loses is taken from the columns after it, by `factor`. A scale belongs to
   * `weights.length / scales.length` consecutive weights. `errors` [O] becomes (w - q) H (w - q)' of each row, H being damped.
   */
  roundInOrder(
    weights: Float32Array,
    factor: Float64Array,
    scales: Float32Array,
    out: Float32Array,
    errors: Float64Array,
  ): void;
  /** The same with each weight rounded by itself; `errors` by the `hessian` as it is. */
  roundNearest(
    weights: Float32Array,
    hessian: Float64Array,
    scales: Float32Array,
    out: Float32Array,
    errors: Float64Array,
  ): void;
}

export const native = addon as NativeTraining & NativeCalibration;
