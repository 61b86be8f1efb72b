/** AdamW over a parameter buffer with global-norm clipping; the arithmetic is the native addon's. */
import { native } from '../../native/index.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { OptimiserSettings } from '../contract/recipe.ts';
import { ParameterBuffer } from '../models/parameters.ts';

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
   * One step, in place. Weight decay applies to matrices only.
   * @param step 1-based
   * @returns the gradient's L2 norm before clipping
   * @throws TritsmithError when the gradient is not finite; the parameters are untouched then
   */
  step(gradients: ParameterBuffer, step: number, learningRate: number): number {
    const norm = Math.sqrt(native.squaredNorm(gradients.values));
    if (!Number.isFinite(norm)) throw new TritsmithError('internal', 'training.diverged', { step });
    const { clipNorm, weightDecay, beta1, beta2, epsilon } = this.#settings;
    // torch.nn.utils.clip_grad_norm_ divides by norm + 1e-6.
    const gradientScale = clipNorm > 0 ? Math.min(1, clipNorm / (norm + 1e-6)) : 1;
    for (const { name, decays } of this.#parameters.specifications)
      native.adamW(
        this.#parameters.view(name),
        gradients.view(name),
        this.firstMoment.view(name),
        this.secondMoment.view(name),
        { step, learningRate, beta1, beta2, epsilon, weightDecay: decays ? weightDecay : 0, gradientScale },
      );
    return norm;
  }
}
