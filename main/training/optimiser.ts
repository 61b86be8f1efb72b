/** AdamW over a parameter buffer with global-norm clipping; the arithmetic is the native addon's. */
import { native } from '../../native/index.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { OptimiserSettings } from '../contract/recipe.ts';
import type { ParameterBuffer, ParameterSpecification } from '../models/parameters.ts';
import { type MomentArray, type Moments, momentsOf } from './moments.ts';
import { type ParameterPart, partsBetween, type Range } from './shards.ts';

/** A learning rate in units of delta, for the latents of ternary matrices and for learned scales. */
export interface TernaryRate {
  readonly rate: number;
  /** Scale of a matrix, as its codes were last made (docs/method.md, 2.1). */
  deltaOf(name: string): number;
}

export class AdamW {
  readonly #parameters: ParameterBuffer;
  readonly #settings: OptimiserSettings;
  readonly #parts: readonly ParameterPart[];
  readonly #moments: Moments;

  /**
   * @param ranges the values that it steps, in their order; default: all. They begin and end where blocks of moments do (`blockOf`)
   * @throws TritsmithError `out-of-memory` when the machine can't hold the moments
   */
  constructor(
    parameters: ParameterBuffer,
    settings: OptimiserSettings,
    ranges: readonly Range[] = [{ begin: 0, end: parameters.values.length }],
  ) {
    this.#parameters = parameters;
    this.#settings = settings;
    this.#parts = ranges.flatMap(({ begin, end }) => partsBetween(parameters.specifications, begin, end));
    this.#moments = momentsOf(settings, parameters.specifications, this.#parts);
  }

  /** What a checkpoint keeps besides the parameters: of the values that it steps, one after the other. */
  get moments(): readonly MomentArray[] {
    return this.#moments.arrays;
  }

  /**
   * One step of all values, in place. Weight decay applies to matrices only, at the pace of `learningRate`.
   * @param step 1-based
   * @param ternary absent: ternary latents have `learningRate` too. Else they are trained as `W / delta` (docs/method.md, 5.6), so that the same
   * model at another scale takes the same step
   * @returns the gradient's L2 norm before clipping; with `ternary` that of `W / delta` where W is ternary
   * @throws TritsmithError when the gradient is not finite; the parameters are untouched then
   */
  step(gradients: ParameterBuffer, step: number, learningRate: number, ternary: TernaryRate | null = null): number {
    const norm = Math.sqrt(
      ternary
        ? this.#parts.reduce((sum, part) => sum + squaresOf(gradients, part, ternary), 0)
        : native.squaredNorm(gradients.values),
    );
    this.apply(gradients, norm, step, learningRate, ternary);
    return norm;
  }

  /** The squared norm of the gradient between two values, in the sense of `step`. */
  squares(gradients: ParameterBuffer, begin: number, end: number, ternary: TernaryRate | null): number {
    return partsBetween(this.#parameters.specifications, begin, end).reduce(
      (sum, part) => sum + squaresOf(gradients, part, ternary),
      0,
    );
  }

  /** The step of the own values, where the norm of the whole gradient is known. @throws TritsmithError when it is not finite */
  apply(
    gradients: ParameterBuffer,
    norm: number,
    step: number,
    learningRate: number,
    ternary: TernaryRate | null,
  ): void {
    if (!Number.isFinite(norm)) throw new TritsmithError('internal', 'training.diverged', { step });
    const { clipNorm, weightDecay, beta1, beta2, epsilon } = this.#settings;
    // torch.nn.utils.clip_grad_norm_ divides by norm + 1e-6.
    const gradientScale = clipNorm > 0 ? Math.min(1, clipNorm / (norm + 1e-6)) : 1;
    for (const [part, { specification, at, count }] of this.#parts.entries()) {
      const { decays } = specification;
      const unit = unitOf(specification, ternary);
      const own = unit === null ? { rate: learningRate, unit: 1 } : { rate: ternary!.rate * unit, unit };
      const values = [this.#parameters, gradients].map((each) => each.values.subarray(at, at + count)) as [
        Float32Array,
        Float32Array,
      ];
      this.#moments.step(part, ...values, {
        step,
        learningRate: own.rate,
        beta1,
        beta2,
        // The moments are those of the gradient of W; that of W / delta is delta times as large.
        epsilon: epsilon / own.unit,
        weightDecay: decays ? weightDecay * (learningRate / own.rate) : 0,
        gradientScale,
      });
    }
  }
}

function squaresOf(gradients: ParameterBuffer, part: ParameterPart, ternary: TernaryRate | null): number {
  const { specification, at, count } = part;
  const squares = native.squaredNorm(gradients.values.subarray(at, at + count));
  return squares * (unitOf(specification, ternary) ?? 1) ** 2;
}

/** What a parameter is trained in units of: the scale of its own ternary matrix, or of the one whose scale it is; null: it has the learning rate of everything else. */
function unitOf({ name, ternary, scaleOf }: ParameterSpecification, rate: TernaryRate | null): number | null {
  const matrix = ternary ? name : scaleOf;
  return rate === null || matrix === null ? null : rate.deltaOf(matrix);
}
