import { describe, expect, it } from 'vitest';
import { classChange, distance, shareDifference } from './two-samples.ts';

describe('the difference of two shares', () => {
  // Newcombe (1998), table II, method 10: the first share less the second, so the signs are turned.
  it.each([
    [56, 70, 48, 80, 0.0524, 0.3339],
    [9, 10, 3, 10, 0.1705, 0.809],
    [10, 10, 0, 20, 0.6791, 1],
    [5, 56, 0, 29, -0.0381, 0.1926],
  ])('%i/%i against %i/%i has the published interval', (right1, total1, right2, total2, low, high) => {
    const { difference, ci95 } = shareDifference([right1, total1], [right2, total2]);
    expect(difference).toBeCloseTo(right2 / total2 - right1 / total1, 12);
    expect(-ci95[1]).toBeCloseTo(low, 4);
    expect(-ci95[0]).toBeCloseTo(high, 4);
  });
});

describe('a change of classes', () => {
  it('is found where there is one, and is none where rows of one kind were drawn twice', () => {
    expect(classChange([50, 30, 20], [48, 33, 19]).byChance).toBeGreaterThan(0.5);
    expect(classChange([50, 30, 20], [10, 30, 60]).byChance).toBe(0.001);
    expect(distance([50, 30, 20], [10, 30, 60])).toBeCloseTo(0.4, 12);
    // A share alone says nothing: of three rows chance makes anything.
    expect(classChange([50, 30, 20], [0, 0, 3]).byChance).toBeGreaterThan(0.005);
  });

  it('is called by chance about as often as chance makes it', () => {
    // Fisher's exact test of 8 of 10 against 3 of 10, two-sided: p = 0.0698 (R, fisher.test).
    const { byChance } = classChange([8, 2], [3, 7], 3);
    expect(Math.abs(byChance - 0.0698)).toBeLessThan(0.03);
  });

  it('has the same figures for the same seed, and for many rows at once', () => {
    expect(classChange([8, 2], [3, 7])).toEqual(classChange([8, 2], [3, 7]));
    const many = classChange([500_000, 500_000], [510_000, 490_000]);
    expect(many.distance).toBeCloseTo(0.01, 12);
  });

  it('is not asked of samples that are none', () => {
    for (const [first, second] of [
      [[1, 2], [1]],
      [
        [0, 0],
        [1, 2],
      ],
      [
        [1, 2],
        [0, 0],
      ],
    ] as const)
      expect(() => classChange(first, second)).toThrow('cannot be compared');
  });
});
