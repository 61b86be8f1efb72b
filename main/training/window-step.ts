/**
 * One step of window reconstruction (docs/method.md, 3.1): some layers of the student, given what the layers before them give, are to give what the
 * full-precision model's layers give there.
 */
import { native } from '../../native/index.ts';
import { BufferPool } from '../graph/buffer-pool.ts';
import type { Network } from '../models/network.ts';
import type { ParameterBuffer } from '../models/parameters.ts';
import type { GradientLosses, GradientsFinal, GradientStep, StepTotals } from './gradient-step.ts';
import { relativeError } from './relative-error.ts';

/** Rows of hidden states, padded with zeros on the right. */
export interface WindowBatch {
  readonly batch: number;
  readonly length: number;
  /** Valid tokens of each row. */
  readonly lengths: readonly number[];
  /** What enters the window and what is to leave it, `[B, T, hidden]`. */
  readonly inputs: Float32Array;
  readonly targets: Float32Array;
}

export class WindowStep implements GradientStep<WindowBatch> {
  readonly balance = null;
  readonly #window: Network;
  readonly #pool = new BufferPool();

  /** @param window the layers alone, a training network that computes in float32 */
  constructor(window: Network) {
    native.keepFreedMemory();
    this.#window = window;
  }

  count(batches: readonly WindowBatch[]): StepTotals {
    return { targets: 0, tokens: batches.reduce((sum, { lengths }) => sum + lengths.reduce((a, b) => a + b, 0), 0) };
  }

  /** Fills `gradients` (overwriting what was there) with those of the mean over the step's valid tokens. */
  async run(
    _step: number,
    batches: readonly WindowBatch[],
    gradients: ParameterBuffer,
    betweenMicroBatches?: () => void,
    { tokens }: StepTotals = this.count(batches),
    final?: GradientsFinal,
  ): Promise<GradientLosses> {
    let total = 0;
    if (batches.length === 0) gradients.values.fill(0);
    for (const [index, micro] of batches.entries()) {
      betweenMicroBatches?.();
      const { hidden } = await this.#window.forward({ ...micro, hidden: micro.inputs });
      const count = micro.batch * micro.length * this.#window.configuration.hiddenSize;
      const gradient = this.#pool.take('gradient', count);
      total += relativeError(hidden, micro, 1 / tokens, gradient);
      const last = index === batches.length - 1;
      await this.#window.backward(gradient, gradients, index > 0, null, last ? final : undefined);
    }
    if (!final) await this.#window.finishGradients(gradients);
    return {
      total,
      crossEntropy: null,
      distillation: 0,
      relation: 0,
      hidden: 0,
      gamma: 0,
      gradientRatio: null,
      tokens,
    };
  }
}
