/** ROUGE as Google's `rouge_score` package computes it (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"). */
import { TritsmithError } from '../contract/errors.ts';
import { bootstrapInterval } from './bootstrap.ts';

export interface RougeScore {
  readonly precision: number;
  readonly recall: number;
  readonly fmeasure: number;
}

export const rougeTypes = ['rouge1', 'rouge2', 'rougeL', 'rougeLsum'] as const;
export type RougeType = (typeof rougeTypes)[number];

export interface RougeOptions {
  /** Applied to words of more than three letters. None by default, as in `evaluate`'s `use_stemmer=False`. */
  readonly stem?: (word: string) => string;
}

/** Words of `text` as rouge_score sees them: lower case, runs of a-z and 0-9, everything else a separator. */
export function rougeTokens(text: string, options: RougeOptions = {}): string[] {
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  const { stem } = options;
  return stem ? words.map((word) => (word.length > 3 ? stem(word) : word)) : words;
}

/**
 * ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum of one prediction against one reference, each in [0, 1]. L takes the text as one
 * sentence; Lsum takes each line as a sentence (section 3.2 of the paper, with ROUGE-1.5.5's rule that a word is not
 * counted twice).
 */
export function rouge(
  reference: string,
  prediction: string,
  options: RougeOptions = {},
): Record<RougeType, RougeScore> {
  const target = rougeTokens(reference, options);
  const predicted = rougeTokens(prediction, options);
  return {
    rouge1: ngramScore(target, predicted, 1),
    rouge2: ngramScore(target, predicted, 2),
    rougeL: scoreOf(commonSubsequence(target, predicted).length, target.length, predicted.length),
    rougeLsum: summaryScore(sentences(reference, options), sentences(prediction, options)),
  };
}

export interface RougeAggregate {
  /** Mean F-measure over the rows. */
  readonly mean: number;
  /** 95 % bootstrap interval of the mean. */
  readonly ci95: [number, number];
}

/**
 * Mean F-measures of a set with 95 % bootstrap intervals (1000 resamples; the seed makes them repeatable). Throws
 * `bad-input` when the lists differ in length or are empty.
 */
export function rougeOfSet(
  references: readonly string[],
  predictions: readonly string[],
  options: RougeOptions & { readonly seed?: number; readonly samples?: number } = {},
): Record<RougeType, RougeAggregate> {
  if (references.length === 0 || references.length !== predictions.length)
    throw new TritsmithError('bad-input', 'scores.rouge-rows', {
      references: references.length,
      predictions: predictions.length,
    });
  const rows = references.map((reference, row) => rouge(reference, predictions[row]!, options));
  const aggregate = (type: RougeType): RougeAggregate => {
    const scores = rows.map((row) => row[type].fmeasure);
    return {
      mean: scores.reduce((sum, score) => sum + score, 0) / scores.length,
      ci95: bootstrapInterval(scores, options.seed ?? 1, options.samples),
    };
  };
  return {
    rouge1: aggregate('rouge1'),
    rouge2: aggregate('rouge2'),
    rougeL: aggregate('rougeL'),
    rougeLsum: aggregate('rougeLsum'),
  };
}

function sentences(text: string, options: RougeOptions): string[][] {
  return text
    .split('\n')
    .filter((line) => line.length > 0)
    .map((line) => rougeTokens(line, options));
}

/** Score of `hits` common units; no units on a side count as one, so that nothing is divided by zero. */
function scoreOf(hits: number, inReference: number, inPrediction: number): RougeScore {
  const precision = hits / Math.max(inPrediction, 1);
  const recall = hits / Math.max(inReference, 1);
  const fmeasure = precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0;
  return { precision, recall, fmeasure };
}

function ngramScore(reference: readonly string[], prediction: readonly string[], order: number): RougeScore {
  const inReference = ngramCounts(reference, order);
  const inPrediction = ngramCounts(prediction, order);
  let hits = 0;
  for (const [ngram, count] of inReference) hits += Math.min(count, inPrediction.get(ngram) ?? 0);
  const total = (tokens: readonly string[]): number => Math.max(0, tokens.length - order + 1);
  return scoreOf(hits, total(reference), total(prediction));
}

function ngramCounts(tokens: readonly string[], order: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start + order <= tokens.length; start++) {
    const ngram = tokens.slice(start, start + order).join(' ');
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

/**
 * Places in `reference` of one longest common subsequence with `prediction`. Where several are longest, the walk back from the
 * end steps over a reference word unless skipping a prediction word keeps strictly more: rouge_score's choice, which Lsum shows.
 */
function commonSubsequence(reference: readonly string[], prediction: readonly string[]): number[] {
  const columns = prediction.length + 1;
  const table = new Uint32Array((reference.length + 1) * columns);
  for (let i = 1; i <= reference.length; i++)
    for (let j = 1; j <= prediction.length; j++)
      table[i * columns + j] =
        reference[i - 1] === prediction[j - 1]
          ? table[(i - 1) * columns + j - 1]! + 1
          : Math.max(table[(i - 1) * columns + j]!, table[i * columns + j - 1]!);
  const places: number[] = [];
  let i = reference.length;
  let j = prediction.length;
  while (i > 0 && j > 0) {
    if (reference[i - 1] === prediction[j - 1]) {
      places.push(i - 1);
      i--;
      j--;
    } else if (table[i * columns + j - 1]! > table[(i - 1) * columns + j]!) j--;
    else i--;
  }
  return places.reverse();
}

function summaryScore(reference: readonly string[][], prediction: readonly string[][]): RougeScore {
  const left = (lists: readonly string[][]): Map<string, number> => ngramCounts(lists.flat(), 1);
  const leftInReference = left(reference);
  const leftInPrediction = left(prediction);
  let hits = 0;
  for (const sentence of reference) {
    const union = new Set(prediction.flatMap((candidate) => commonSubsequence(sentence, candidate)));
    for (const place of [...union].sort((a, b) => a - b)) {
      const word = sentence[place]!;
      const inReference = leftInReference.get(word) ?? 0;
      const inPrediction = leftInPrediction.get(word) ?? 0;
      if (inReference === 0 || inPrediction === 0) continue;
      hits++;
      leftInReference.set(word, inReference - 1);
      leftInPrediction.set(word, inPrediction - 1);
    }
  }
  return scoreOf(hits, reference.flat().length, prediction.flat().length);
}
