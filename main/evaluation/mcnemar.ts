/** Two models on the same rows: is one better? */
import { TritsmithError } from '../contract/errors.ts';
import { z95 } from './wilson.ts';

export interface PairedComparison {
  readonly rows: number;
  /** Rows that both, only the first, only the second, and neither answered rightly. */
  readonly both: number;
  readonly onlyFirst: number;
  readonly onlySecond: number;
  readonly neither: number;
  /** Accuracy of the second minus accuracy of the first. */
  readonly difference: number;
  /** 95 % interval of `difference`. */
  readonly ci95: [number, number];
  /** Two-sided exact McNemar p-value of "both are equally often right". */
  readonly pValue: number;
}

/**
 * Compares the predictions of two models, `first[i]` and `second[i]`, with the right answers `gold[i]`.
 *
 * The p-value is the exact McNemar test (McNemar 1947; binomial form): of the n rows on which exactly one model is right, the
 * smaller count is Binomial(n, 1/2) under the null hypothesis. The interval is Agresti and Min's (2005, Statistics in Medicine
 * 24, 729-740): Wald for paired proportions after adding 1/2 to each of the four cells, so it has a width even without
 * discordant rows. Throws `bad-input` for lists of different lengths or without rows.
 */
export function comparePaired<T>(gold: readonly T[], first: readonly T[], second: readonly T[]): PairedComparison {
  const rows = gold.length;
  if (rows === 0 || first.length !== rows || second.length !== rows)
    throw new TritsmithError('bad-input', 'scores.paired-rows', {
      gold: rows,
      first: first.length,
      second: second.length,
    });
  let both = 0;
  let onlyFirst = 0;
  let onlySecond = 0;
  gold.forEach((answer, row) => {
    const firstRight = first[row] === answer;
    const secondRight = second[row] === answer;
    if (firstRight && secondRight) both++;
    else if (firstRight) onlyFirst++;
    else if (secondRight) onlySecond++;
  });
  const n = rows + 2;
  const b = onlyFirst + 0.5;
  const c = onlySecond + 0.5;
  const centre = (c - b) / n;
  const half = (z95 * Math.sqrt(b + c - (c - b) ** 2 / n)) / n;
  return {
    rows,
    both,
    onlyFirst,
    onlySecond,
    neither: rows - both - onlyFirst - onlySecond,
    difference: (onlySecond - onlyFirst) / rows,
    ci95: [Math.max(-1, centre - half), Math.min(1, centre + half)],
    pValue: mcnemarExact(onlyFirst, onlySecond),
  };
}

/** Two-sided exact McNemar p-value from the two discordant counts: `min(1, 2 P(X <= min(b, c)))`, X ~ Binomial(b + c, 1/2). */
export function mcnemarExact(onlyFirst: number, onlySecond: number): number {
  const n = onlyFirst + onlySecond;
  const smaller = Math.min(onlyFirst, onlySecond);
  if (onlyFirst === onlySecond) return 1;
  // The largest term, C(n, smaller) / 2^n, in logarithms; the smaller terms are ratios of it and can't overflow.
  let logTerm = -n * Math.LN2;
  for (let i = 1; i <= smaller; i++) logTerm += Math.log((n - smaller + i) / i);
  let sum = 0;
  let ratio = 1;
  for (let k = smaller; k >= 0 && ratio > 1e-18; k--) {
    sum += ratio;
    ratio *= k / (n - k + 1);
  }
  return Math.min(1, 2 * Math.exp(logTerm) * sum);
}
