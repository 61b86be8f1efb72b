/** What the training loop asks of whatever computes the losses and gradients of a step (`TrainingStep`, `WindowStep`). */
import type { ParameterBuffer } from '../models/parameters.ts';
import type { GammaBalance } from './gamma-balance.ts';

/** Losses of a step; no cross-entropy where no labels are learned. */
export interface GradientLosses {
  total: number;
  crossEntropy: number | null;
  /** lambda times the logits term (with tau^2 where the settings ask for it). */
  distillation: number;
  /** The attention-relation term before gamma. */
  relation: number;
  gamma: number;
  /** The hidden-state term with its weight. */
  hidden: number;
  /** Gradient norm of gamma * relation over that of the other terms, when this step measured it. */
  gradientRatio: number | null;
  tokens: number;
}

/** What the averages of a step run over. */
export interface StepTotals {
  /** Tokens to be learned. */
  readonly targets: number;
  /** Valid tokens. */
  readonly tokens: number;
}

/** Told in the last pass backward of a step: the gradients of all values from `from` on are final. */
export type GradientsFinal = (from: number) => void;

export interface GradientStep<Batch> {
  readonly balance: GammaBalance | null;
  count(microBatches: readonly Batch[]): StepTotals;
  /**
   * Fills `gradients`.
   * @param betweenMicroBatches may throw to abandon the step
   * @param totals of the whole step, where these are a part of it: losses and gradients are this part's share, and gamma is not measured
   * @param final told as it gets on, of the later values first; they may be changed from then on. Not told of what is final when the promise is fulfilled
   */
  run(
    step: number,
    microBatches: readonly Batch[],
    gradients: ParameterBuffer,
    betweenMicroBatches?: () => void,
    totals?: StepTotals,
    final?: GradientsFinal,
  ): Promise<GradientLosses>;
  /** Whether gamma is due to be measured at a step. */
  measuresAt?(step: number): boolean;
  /** Fills `gradients` with those of a micro-batch by one side of what gamma balances alone: the attention term with weight 1, or the other terms. */
  gradientOf?(side: 'relation' | 'others', micro: Batch, gradients: ParameterBuffer, totals: StepTotals): Promise<void>;
}
