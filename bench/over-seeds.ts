/** A result of several seeds. */
export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Variance that the mean has by the spread of the seeds; of one seed nothing is known, and it is 0. */
export function seedVariance(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const own = mean(values);
  return values.reduce((sum, value) => sum + (value - own) ** 2, 0) / (values.length - 1) / values.length;
}
