/** Exponential moving average of a curve, so that its course shows through its noise; short curves stay as they are. */
export function smoothed(points: readonly { value: number | null }[]): (number | null)[] {
  // About a thirtieth of the curve counts in each average.
  const weight = Math.min(1, 60 / points.length);
  let average: number | null = null;
  return points.map(({ value }) => {
    if (value === null) return null;
    average = average === null ? value : average + weight * (value - average);
    return average;
  });
}
