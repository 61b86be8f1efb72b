/** Which class is taken for which. */
import { TritsmithError } from '../contract/errors.ts';

export interface ClassScores {
  readonly label: string;
  /** Rows of this class. */
  readonly support: number;
  /** Rows that were given this class. */
  readonly predicted: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

export interface Confusion {
  readonly labels: readonly string[];
  /** `counts[g][p]`: rows of class `labels[g]` that were given class `labels[p]`. */
  readonly counts: readonly (readonly number[])[];
  readonly right: number;
  readonly total: number;
  readonly accuracy: number;
  readonly macroF1: number;
  readonly classes: readonly ClassScores[];
}

/**
 * Confusion matrix of `predicted[i]` against `gold[i]` over `labels`, with precision, recall and F1 per class (0 where
 * undefined, as in scikit-learn) and their unweighted mean. Throws `bad-input` for lists of different lengths, without rows, or
 * with a value that is not in `labels`.
 */
export function confusion(labels: readonly string[], gold: readonly string[], predicted: readonly string[]): Confusion {
  if (gold.length === 0 || gold.length !== predicted.length)
    throw new TritsmithError('bad-input', 'scores.confusion-rows', {
      rows: gold.length,
      predictions: predicted.length,
    });
  const places = new Map(labels.map((label, index) => [label, index]));
  const placeOf = (label: string): number => {
    const place = places.get(label);
    if (place === undefined) throw new TritsmithError('bad-input', 'scores.unknown-class', { label, labels });
    return place;
  };
  const counts = labels.map(() => new Array<number>(labels.length).fill(0));
  gold.forEach((label, row) => counts[placeOf(label)]![placeOf(predicted[row]!)]!++);
  const classes = labels.map((label, index): ClassScores => {
    const hits = counts[index]![index]!;
    const support = counts[index]!.reduce((sum, count) => sum + count, 0);
    const given = counts.reduce((sum, row) => sum + row[index]!, 0);
    return {
      label,
      support,
      predicted: given,
      precision: given === 0 ? 0 : hits / given,
      recall: support === 0 ? 0 : hits / support,
      f1: support + given === 0 ? 0 : (2 * hits) / (support + given),
    };
  });
  const right = counts.reduce((sum, row, index) => sum + row[index]!, 0);
  return {
    labels,
    counts,
    right,
    total: gold.length,
    accuracy: right / gold.length,
    macroF1: classes.reduce((sum, { f1 }) => sum + f1, 0) / Math.max(1, classes.length),
    classes,
  };
}
