/** Percentile bootstrap of the mean of per-row scores. */

/** Uniform numbers in [0, 1) from a 32-bit seed: mulberry32, and not `Random`: it decides the intervals that results were published with. */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/**
 * 95 % percentile bootstrap interval of the mean of `scores` (Efron 1979), from `samples` resamples with replacement; the same
 * seed gives the same interval. Percentiles interpolate linearly, as in numpy. Without scores: [NaN, NaN].
 */
export function bootstrapInterval(scores: readonly number[], seed: number, samples = 1000): [number, number] {
  const rows = scores.length;
  if (rows === 0) return [NaN, NaN];
  const next = uniform(seed);
  const means = new Float64Array(samples);
  for (let sample = 0; sample < samples; sample++) {
    let sum = 0;
    for (let draw = 0; draw < rows; draw++) sum += scores[Math.floor(next() * rows)]!;
    means[sample] = sum / rows;
  }
  means.sort();
  return [percentile(means, 0.025), percentile(means, 0.975)];
}

function percentile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (at - below);
}
