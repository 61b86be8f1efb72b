import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TritsmithError } from '../contract/errors.ts';
import { agreement } from './agreement.ts';
import { bootstrapInterval } from './bootstrap.ts';
import { comparePaired, mcnemarExact } from './mcnemar.ts';
import { wilsonInterval } from './wilson.ts';

const golden = JSON.parse(readFileSync(new URL('./golden/golden.json', import.meta.url), 'utf8')) as {
  mcnemar: [number, number, number][];
  kappa: { first: string; second: string; expected: number };
};

describe('Wilson interval', () => {
  test('equals the published example of Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662', () => {
    const [low, high] = wilsonInterval(81, 263);
    expect(low).toBeCloseTo(0.2553, 4);
    expect(high).toBeCloseTo(0.3662, 4);
  });

  test('equals the published example of Newcombe 1998, table I: 15 of 148 is 0.0624 to 0.1605', () => {
    const [low, high] = wilsonInterval(15, 148);
    expect(low).toBeCloseTo(0.0624, 4);
    expect(high).toBeCloseTo(0.1605, 4);
  });

  test('keeps a width at 0 and at all right: 0 of 20 is 0 to 0.1611', () => {
    expect(wilsonInterval(0, 20)[0]).toBe(0);
    expect(wilsonInterval(0, 20)[1]).toBeCloseTo(0.1611, 4);
    expect(wilsonInterval(20, 20)[0]).toBeCloseTo(0.8389, 4);
    expect(wilsonInterval(20, 20)[1]).toBe(1);
    expect(wilsonInterval(0, 0)).toEqual([0, 1]);
  });

  test('refuses counts that cannot be', () => {
    expect(() => wilsonInterval(3, 2)).toThrow(TritsmithError);
    expect(() => wilsonInterval(-1, 2)).toThrow(TritsmithError);
    expect(() => wilsonInterval(0.5, 2)).toThrow(TritsmithError);
  });
});

describe('McNemar', () => {
  test.each(golden.mcnemar)('discordant rows %i and %i give p = %f', (onlyFirst, onlySecond, expected) => {
    expect(Math.abs(mcnemarExact(onlyFirst, onlySecond) / expected - 1)).toBeLessThan(1e-10);
  });

  test('counts the four cells and gives the paired difference with its interval', () => {
    const gold = [...'aaaaaaaaaa'];
    const first = [...'aaaaabbbbb'];
    const second = [...'aaaabaaaab'];
    const compared = comparePaired(gold, first, second);
    expect(compared).toMatchObject({ rows: 10, both: 4, onlyFirst: 1, onlySecond: 4, neither: 1, difference: 0.3 });
    expect(compared.pValue).toBeCloseTo(0.375, 12);
    // (4.5 - 1.5) / 12 -+ 1.95996 sqrt(6 - 9 / 12) / 12
    expect(compared.ci95[0]).toBeCloseTo(0.25 - 0.3742368, 6);
    expect(compared.ci95[1]).toBeCloseTo(0.25 + 0.3742368, 6);
  });

  test('equal models differ by nothing, with an interval around 0', () => {
    const answers = [...'abcabcabc'];
    const compared = comparePaired(answers, answers, answers);
    expect(compared.difference).toBe(0);
    expect(compared.pValue).toBe(1);
    expect(compared.ci95[0]).toBeLessThan(0);
    expect(compared.ci95[1]).toBe(-compared.ci95[0]);
    expect(() => comparePaired(answers, answers, ['a'])).toThrow(TritsmithError);
  });
});

describe('agreement', () => {
  test("Cohen's kappa equals exact arithmetic", () => {
    const { first, second, expected } = golden.kappa;
    const result = agreement([...first], [...second]);
    expect(result.kappa).toBeCloseTo(expected, 12);
    expect(result.same).toBe([...first].filter((answer, row) => answer === second[row]).length);
    expect(result.ci95).toEqual(wilsonInterval(result.same, 200));
  });

  test('equal answers agree wholly; opposite answers disagree wholly', () => {
    expect(agreement([...'abab'], [...'abab'])).toMatchObject({ share: 1, kappa: 1 });
    expect(agreement([...'abab'], [...'baba'])).toMatchObject({ share: 0, kappa: -1 });
    expect(() => agreement(['a'], [])).toThrow(TritsmithError);
  });
});

describe('bootstrap', () => {
  test('comes near the normal interval of a mean, and repeats with its seed', () => {
    const scores = Array.from({ length: 400 }, (_, row) => (row % 4 === 0 ? 1 : 0));
    const [low, high] = bootstrapInterval(scores, 5, 4000);
    const half = 1.96 * Math.sqrt((0.25 * 0.75) / 400);
    expect(low).toBeCloseTo(0.25 - half, 2);
    expect(high).toBeCloseTo(0.25 + half, 2);
    expect(bootstrapInterval(scores, 5, 4000)).toEqual([low, high]);
  });

  test('equal scores have no width', () => {
    expect(bootstrapInterval([0.5, 0.5, 0.5], 1)).toEqual([0.5, 0.5]);
  });
});
