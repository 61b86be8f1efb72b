import { expect, it } from 'vitest';
import { argmax, median, upperMedian } from './numbers.ts';

it('medians: the mean of the two in the middle, or the larger of them where it must be one of the values', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([10, 9, 100])).toBe(10);
  expect(median([])).toBeNaN();
  expect(upperMedian([3, 1, 2])).toBe(2);
  expect(upperMedian([4, 1, 2, 3])).toBe(3);
  expect(upperMedian([])).toBeUndefined();
});

it('argmax: the first of equal values, below zero too', () => {
  expect(argmax(Float32Array.of(-3, -1, -2, -1))).toBe(1);
  expect(argmax([5])).toBe(0);
});
