import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TritsmithError } from '../contract/errors.ts';
import { rouge, rougeOfSet, rougeTokens, rougeTypes, type RougeType } from './rouge.ts';

const golden = JSON.parse(readFileSync(new URL('./golden/golden.json', import.meta.url), 'utf8')) as {
  references: string[];
  predictions: string[];
  rouge: Record<RougeType, [number, number, number]>[];
};

describe('ROUGE', () => {
  test('tokens are lower-case runs of a-z and 0-9', () => {
    expect(rougeTokens("Naïve U.S.-based 3.5 'it's'")).toEqual(['na', 've', 'u', 's', 'based', '3', '5', 'it', 's']);
  });

  test("agrees with the published examples of rouge_score's own tests", () => {
    expect(rouge('testing one two', 'testing').rouge1).toEqual({ precision: 1, recall: 1 / 3, fmeasure: 0.5 });
    expect(rouge('testing one two', 'testing one').rouge2.fmeasure).toBeCloseTo(2 / 3, 12);
    expect(rouge('testing one two', 'testing two').rougeL.fmeasure).toBeCloseTo(4 / 5, 12);
    const union = rouge('w1 w2 w3 w4 w5', 'w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5').rougeLsum;
    expect(union.recall).toBeCloseTo(0.8, 12);
    expect(union.precision).toBeCloseTo(0.4, 12);
    for (const [reference, prediction] of [
      ['w1 w2', ''],
      ['', 'w1'],
      ['w1 w2', '/'],
    ] as const)
      for (const type of rougeTypes)
        expect(rouge(reference, prediction)[type]).toEqual({ precision: 0, recall: 0, fmeasure: 0 });
  });

  test('agrees with an independent implementation on 45 pairs', () => {
    expect(golden.rouge.length).toBe(45);
    golden.rouge.forEach((expected, row) => {
      const scores = rouge(golden.references[row]!, golden.predictions[row]!);
      for (const type of rougeTypes) {
        const { precision, recall, fmeasure } = scores[type];
        expect(precision, `${type} of pair ${row}`).toBeCloseTo(expected[type][0], 12);
        expect(recall, `${type} of pair ${row}`).toBeCloseTo(expected[type][1], 12);
        expect(fmeasure, `${type} of pair ${row}`).toBeCloseTo(expected[type][2], 12);
      }
    });
    expect(golden.rouge.filter((scores) => scores.rougeL[2] !== scores.rougeLsum[2]).length).toBeGreaterThan(10);
  });

  test('a stemmer is applied to words of more than three letters', () => {
    const stem = (word: string): string => word.replace(/s$/, '');
    expect(rougeTokens('gas cats', { stem })).toEqual(['gas', 'cat']);
    expect(rouge('two cats', 'two cat', { stem }).rouge1.fmeasure).toBe(1);
  });

  test('a set gives the mean F-measure and a repeatable interval around it', () => {
    const scores = rougeOfSet(golden.references, golden.predictions, { seed: 3 });
    const mean = golden.rouge.reduce((sum, row) => sum + row.rougeL[2], 0) / golden.rouge.length;
    expect(scores.rougeL.mean).toBeCloseTo(mean, 12);
    expect(scores.rougeL.ci95[0]).toBeLessThan(mean);
    expect(scores.rougeL.ci95[1]).toBeGreaterThan(mean);
    expect(rougeOfSet(golden.references, golden.predictions, { seed: 3 })).toEqual(scores);
    expect(rougeOfSet(golden.references, golden.predictions, { seed: 4 }).rougeL.ci95).not.toEqual(scores.rougeL.ci95);
  });

  test('refuses lists that do not belong together', () => {
    expect(() => rougeOfSet(['a'], [])).toThrow(TritsmithError);
    expect(() => rougeOfSet([], [])).toThrow(TritsmithError);
  });
});
