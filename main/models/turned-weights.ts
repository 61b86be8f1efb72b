/** Latent weights of projections whose input is turned by a Hadamard matrix: W H computes from H x what W computes from x. */

/**
 * Multiplies each block of `block` columns of each row, in place, by the orthonormal Hadamard matrix (docs/method.md, 2.9); twice is once back.
 * @param values `[rows, columns]`, of whose columns `block`, a power of two, is a divisor
 */
export function turnRows(values: Float32Array, block: number): void {
  const scratch = new Float64Array(block);
  const factor = 1 / Math.sqrt(block);
  for (let start = 0; start < values.length; start += block) {
    for (let at = 0; at < block; at += 1) scratch[at] = values[start + at]!;
    for (let half = 1; half < block; half *= 2)
      for (let first = 0; first < block; first += 2 * half)
        for (let at = first; at < first + half; at += 1) {
          const [a, b] = [scratch[at]!, scratch[at + half]!];
          scratch[at] = a + b;
          scratch[at + half] = a - b;
        }
    for (let at = 0; at < block; at += 1) values[start + at] = scratch[at]! * factor;
  }
}
