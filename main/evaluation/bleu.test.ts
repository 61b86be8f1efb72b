import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TritsmithError } from '../contract/errors.ts';
import { bleuTokens, corpusBleu, type BleuScore } from './bleu.ts';

const golden = JSON.parse(readFileSync(new URL('./golden/golden.json', import.meta.url), 'utf8')) as {
  predictions: string[];
  tokens13a: string[];
  bleu: Record<string, { references: string[]; second: string[] | null; predictions: string[]; expected: BleuScore }>;
};

describe('BLEU', () => {
  test("tokens are sacrebleu's 13a", () => {
    golden.predictions.forEach((text, row) => {
      expect(bleuTokens(text).join(' '), `segment ${row}`).toBe(golden.tokens13a[row]);
    });
  });

  test.each(Object.entries(golden.bleu))(
    'case "%s" equals sacrebleu',
    (_name, { references, second, predictions, expected }) => {
      const given = second === null ? references : references.map((reference, row) => [reference, second[row]!]);
      const score = corpusBleu(given, predictions);
      expect(score.score).toBeCloseTo(expected.score, 10);
      expect(score.brevityPenalty).toBeCloseTo(expected.brevityPenalty, 12);
      expect(score.predictionLength).toBe(expected.predictionLength);
      expect(score.referenceLength).toBe(expected.referenceLength);
      score.precisions.forEach((precision, order) => {
        expect(precision).toBeCloseTo(expected.precisions[order]!, 10);
      });
    },
  );

  test('the cases cover scores from 0 to 100', () => {
    const scores = Object.values(golden.bleu).map(({ expected }) => expected.score);
    expect(Math.min(...scores)).toBe(0);
    expect(Math.max(...scores)).toBeGreaterThan(40);
    expect(corpusBleu(['a b c d e'], ['a b c d e']).score).toBeCloseTo(100, 10);
  });

  test('refuses lists that do not belong together', () => {
    expect(() => corpusBleu(['a'], [])).toThrow(TritsmithError);
    expect(() => corpusBleu([[]], ['a'])).toThrow(TritsmithError);
  });
});
