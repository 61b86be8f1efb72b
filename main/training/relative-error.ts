/** The distance of hidden states that reconstruction (docs/method.md, 3.1) and the hidden-state term (5.5) make small. */
/** What hidden states are compared with, `[B, T, hidden]`, padded on the right. */
export interface HiddenTargets {
  readonly batch: number;
  readonly length: number;
  /** Valid tokens of each row. */
  readonly lengths: readonly number[];
  readonly targets: Float32Array;
}

/** Squared norm of a target below which a token's error is not divided further: nothing is lost where a state is all but zero. */
const leastNorm = 1e-12;

/**
 * `sum over valid tokens of weight * |y - y'|^2 / |y'|^2`: each token counts by its own size, because a few tokens of a language model have
 * states hundreds of times as large as the others.
 * @param output y, `[B, T, hidden]`
 * @param gradient filled with d/dy, zero at padding
 */
export function relativeError(
  output: Float32Array,
  { batch, length, lengths, targets }: HiddenTargets,
  weight: number,
  gradient: Float32Array,
): number {
  const width = targets.length / (batch * length);
  gradient.fill(0);
  let loss = 0;
  for (const [row, valid] of lengths.entries())
    for (let token = 0; token < valid; token += 1) {
      const start = (row * length + token) * width;
      let squares = 0;
      let error = 0;
      for (let at = start; at < start + width; at += 1) {
        squares += targets[at]! ** 2;
        error += (output[at]! - targets[at]!) ** 2;
      }
      const scale = weight / Math.max(squares, leastNorm);
      loss += scale * error;
      for (let at = start; at < start + width; at += 1) gradient[at] = 2 * scale * (output[at]! - targets[at]!);
    }
  return loss;
}
