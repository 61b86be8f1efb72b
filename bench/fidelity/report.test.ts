import { describe, expect, it } from 'vitest';
import { difference, gapClosed, halfInterval, type Line } from './report.ts';

const score = (right: readonly boolean[]) => ({
  value: right.filter(Boolean).length / right.length,
  rows: right.length,
  crossEntropy: 0.5,
  agreement: null,
  right,
});
const rows = (count: number, right: (row: number) => boolean): boolean[] =>
  Array.from({ length: count }, (_, row) => right(row));
const line = (name: string, runs: readonly [seed: number, right: readonly boolean[]][]): Line => ({
  name,
  text: '',
  seeds: runs.map(([seed]) => seed),
  dev: runs.map(([, right]) => score(right)),
  tail: [],
});

describe('the difference to the main student', () => {
  const main = line('BitDistill', [
    [1, rows(100, (row) => row < 80)],
    [2, rows(100, (row) => row < 90)],
  ]);

  it('is paired by row and averaged over the seeds that both have', () => {
    // Seed 2: 95 against 90 right, the five rows 90 to 94: mean 0.05, variance 0.05 * 0.95 over 100 rows.
    const half = 1.959964 * Math.sqrt((0.05 * 0.95) / 100);
    const found = difference(line('other', [[2, rows(100, (row) => row < 95)]]), main, 'dev');
    expect(found).toBe(`+5.0 (+${(100 * (0.05 - half)).toFixed(1)} to +${(100 * (0.05 + half)).toFixed(1)})`);
    // Seeds in another order: -10 and +5 points.
    const both = line('other', [
      [2, rows(100, (row) => row < 95)],
      [1, rows(100, (row) => row < 70)],
    ]);
    expect(difference(both, main, 'dev')).toMatch(/^−2\.5 \(/);
  });

  it('is left out where the same rows were not answered', () => {
    expect(difference(main, main, 'dev')).toBe('');
    expect(difference(line('other', [[3, rows(100, () => true)]]), main, 'dev')).toBe('');
    expect(difference(line('generation', [[1, []]]), main, 'dev')).toBe('');
    expect(difference(line('other', [[1, rows(50, () => true)]]), main, 'dev')).toBe('');
  });
});

it('a share of the gap exists where there is a gap', () => {
  expect(gapClosed(0.9, 0.8, 0.88)).toBeCloseTo(0.8);
  expect(gapClosed(0.8, 0.8, 0.88)).toBeNull();
});

it('the interval of a mean accuracy widens with the spread of its seeds', () => {
  const alone = [score(rows(100, (row) => row < 85))];
  expect(halfInterval(alone)).toBeCloseTo(1.959964 * Math.sqrt((0.85 * 0.15) / 100));
  const spread = [score(rows(100, (row) => row < 80)), score(rows(100, (row) => row < 90))];
  expect(halfInterval(spread)).toBeCloseTo(1.959964 * Math.sqrt((0.85 * 0.15) / 100 + 0.005 / 2));
});
