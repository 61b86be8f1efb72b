/** AdamW over a parameter buffer with global-norm clipping; the arithmetic is the native addon's. */
import { native } from '../../native/index.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { OptimiserSettings } from '../contract/recipe.ts';
import { ParameterBuffer } from '../models/parameters.ts';

/** A learning rate in units of delta, for the latents of ternary matrices. */
export interface TernaryRate {
  readonly rate: number;
  /** Scale of a matrix, as its codes were last made (docs/method.md, 2.1). */
  deltaOf(name: string): number;
}

export class AdamW {
  readonly firstMoment: ParameterBuffer;
  readonly secondMoment: ParameterBuffer;
  readonly #parameters: ParameterBuffer;
  readonly #settings: OptimiserSettings;

  constructor(parameters: ParameterBuffer, settings: OptimiserSettings) {
    this.#parameters = parameters;
    this.#settings = settings;
    this.firstMoment = new ParameterBuffer(parameters.specifications);
    this.secondMoment = new ParameterBuffer(parameters.specifications);
  }

  /**
   * One step, in place. Weight decay applies to matrices only, at the pace of `learningRate`.
   * @param step 1-based
   * @param ternary absent: ternary latents have `learningRate` too. Else they are trained as `W / delta` (docs/method.md, 5.6), so that the same
   * model at another scale takes the same step
   * @returns the gradient's L2 norm before clipping; with `ternary` that of `W / delta` where W is ternary
   * @throws TritsmithError when the gradient is not finite; the parameters are untouched then
   */
  step(gradients: ParameterBuffer, step: number, learningRate: number, ternary: TernaryRate | null = null): number {
    const norm = Math.sqrt(ternary ? this.#scaledNorm(gradients, ternary) : native.squaredNorm(gradients.values));
    if (!Number.isFinite(norm)) throw new TritsmithError('internal', 'training.diverged', { step });
    const { clipNorm, weightDecay, beta1, beta2, epsilon } = this.#settings;
    // torch.nn.utils.clip_grad_norm_ divides by norm + 1e-6.
    const gradientScale = clipNorm > 0 ? Math.min(1, clipNorm / (norm + 1e-6)) : 1;
    for (const specification of this.#parameters.specifications) {
      const { name, decays } = specification;
      const delta = ternary && specification.ternary ? ternary.deltaOf(name) : null;
      const own = delta === null ? { rate: learningRate, unit: 1 } : { rate: ternary!.rate * delta, unit: delta };
      native.adamW(
        this.#parameters.view(name),
        gradients.view(name),
        this.firstMoment.view(name),
        this.secondMoment.view(name),
        {
          step,
          learningRate: own.rate,
          beta1,
          beta2,
          // The moments are those of the gradient of W; that of W / delta is delta times as large.
          epsilon: epsilon / own.unit,
          weightDecay: decays ? weightDecay * (learningRate / own.rate) : 0,
          gradientScale,
        },
      );
    }
    return norm;
  }

  #scaledNorm(gradients: ParameterBuffer, { deltaOf }: TernaryRate): number {
    return this.#parameters.specifications.reduce((sum, { name, ternary }) => {
      const squares = native.squaredNorm(gradients.view(name));
      return sum + (ternary ? squares * deltaOf(name) ** 2 : squares);
    }, 0);
  }
}
