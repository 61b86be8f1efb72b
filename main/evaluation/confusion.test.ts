import { describe, expect, test } from 'vitest';
import { TritsmithError } from '../contract/errors.ts';
import { confusion } from './confusion.ts';

describe('confusion matrix', () => {
  const gold = [...'aaaabbbccc'];
  const predicted = [...'aaabbbaccb'];

  test('counts rows by class and answer', () => {
    const result = confusion(['a', 'b', 'c'], gold, predicted);
    expect(result.counts).toEqual([
      [3, 1, 0],
      [1, 2, 0],
      [0, 1, 2],
    ]);
    expect(result.right).toBe(7);
    expect(result.accuracy).toBe(0.7);
  });

  test('gives precision, recall and F1 per class and their mean', () => {
    const { classes, macroF1 } = confusion(['a', 'b', 'c'], gold, predicted);
    expect(classes[0]).toEqual({ label: 'a', support: 4, predicted: 4, precision: 3 / 4, recall: 3 / 4, f1: 6 / 8 });
    expect(classes[1]).toEqual({ label: 'b', support: 3, predicted: 4, precision: 2 / 4, recall: 2 / 3, f1: 4 / 7 });
    expect(classes[2]).toEqual({ label: 'c', support: 3, predicted: 2, precision: 1, recall: 2 / 3, f1: 4 / 5 });
    expect(macroF1).toBeCloseTo((6 / 8 + 4 / 7 + 4 / 5) / 3, 12);
  });

  test('a class that never occurs scores 0 and divides nothing by zero', () => {
    expect(confusion(['a', 'z'], ['a'], ['a']).classes[1]).toEqual({
      label: 'z',
      support: 0,
      predicted: 0,
      precision: 0,
      recall: 0,
      f1: 0,
    });
  });

  test('refuses unknown classes and lists of different lengths', () => {
    expect(() => confusion(['a'], ['a'], ['b'])).toThrow(TritsmithError);
    expect(() => confusion(['a'], ['a'], [])).toThrow(TritsmithError);
  });
});
