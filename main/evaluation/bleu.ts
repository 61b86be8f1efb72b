/** Corpus BLEU-4 as sacrebleu reports it: `nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp`. */
import { TritsmithError } from '../contract/errors.ts';

const orders = 4;
/** What Python's `str.split()` and `str.rstrip()` take as white space. */
const whiteSpace = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+';
const trailingSpace = new RegExp(`${whiteSpace}$`, 'u');
const betweenWords = new RegExp(whiteSpace, 'u');

/** Tokens of one segment by mteval-v13a's rules, as in sacrebleu's `13a` tokeniser. */
export function bleuTokens(segment: string): string[] {
  const plain = segment
    .replace(trailingSpace, '')
    .replaceAll('<skipped>', '')
    .replaceAll('-\n', '')
    .replaceAll('\n', ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>');
  return ` ${plain} `
    .replace(/([{-~[-` -&(-+:-@/])/gu, ' $1 ')
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    .replace(/([0-9])(-)/gu, '$1 $2 ')
    .split(betweenWords)
    .filter((token) => token.length > 0);
}

export interface BleuScore {
  /** 0 to 100. */
  readonly score: number;
  /** n-gram precisions for n = 1..4, 0 to 100, smoothed where no n-gram matched. */
  readonly precisions: readonly number[];
  readonly brevityPenalty: number;
  readonly predictionLength: number;
  readonly referenceLength: number;
}

/**
 * Corpus BLEU-4 (Papineni et al. 2002) of `predictions[i]` against one or more `references[i]`, with 13a tokenisation and
 * exponential smoothing (the k-th order without a match counts 1 / 2^k matches). Of several references the closest in length
 * counts for the brevity penalty, the shorter of two equally close. Throws `bad-input` when lists differ in length, are empty,
 * or a row has no reference.
 */
export function corpusBleu(
  references: readonly (string | readonly string[])[],
  predictions: readonly string[],
): BleuScore {
  if (predictions.length === 0 || references.length !== predictions.length)
    throw new TritsmithError('bad-input', 'scores.bleu-rows', {
      references: references.length,
      predictions: predictions.length,
    });
  const matches = new Array<number>(orders).fill(0);
  const totals = new Array<number>(orders).fill(0);
  let predictionLength = 0;
  let referenceLength = 0;
  predictions.forEach((prediction, row) => {
    const given = references[row]!;
    const tokenised = (typeof given === 'string' ? [given] : given).map(bleuTokens);
    if (tokenised.length === 0) throw new TritsmithError('bad-input', 'scores.no-reference', { row: row + 1 });
    const tokens = bleuTokens(prediction);
    predictionLength += tokens.length;
    referenceLength += closestLength(
      tokens.length,
      tokenised.map((reference) => reference.length),
    );
    for (let order = 1; order <= orders; order++) {
      const allowed = new Map<string, number>();
      for (const reference of tokenised)
        for (const [ngram, count] of ngramCounts(reference, order))
          allowed.set(ngram, Math.max(count, allowed.get(ngram) ?? 0));
      totals[order - 1]! += Math.max(0, tokens.length - order + 1);
      for (const [ngram, count] of ngramCounts(tokens, order))
        matches[order - 1]! += Math.min(count, allowed.get(ngram) ?? 0);
    }
  });
  const brevityPenalty =
    predictionLength >= referenceLength
      ? 1
      : predictionLength === 0
        ? 0
        : Math.exp(1 - referenceLength / predictionLength);
  const precisions = smoothedPrecisions(matches, totals);
  const score = precisions.every((precision) => precision > 0)
    ? brevityPenalty * Math.exp(precisions.reduce((sum, precision) => sum + Math.log(precision), 0) / orders)
    : 0;
  return { score, precisions, brevityPenalty, predictionLength, referenceLength };
}

function smoothedPrecisions(matches: readonly number[], totals: readonly number[]): number[] {
  if (matches.every((count) => count === 0)) return matches.map(() => 0);
  let divisor = 1;
  return matches.map((count, index) => {
    const total = totals[index]!;
    if (total === 0) return 0;
    if (count > 0) return (100 * count) / total;
    divisor *= 2;
    return 100 / (divisor * total);
  });
}

function closestLength(length: number, candidates: readonly number[]): number {
  return candidates.reduce((best, candidate) => {
    const nearer = Math.abs(candidate - length) - Math.abs(best - length);
    return nearer < 0 || (nearer === 0 && candidate < best) ? candidate : best;
  });
}

function ngramCounts(tokens: readonly string[], order: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start + order <= tokens.length; start++) {
    const ngram = tokens.slice(start, start + order).join(' ');
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}
