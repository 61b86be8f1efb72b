/** What a review of new rows says: accuracy first, then what may lie behind it. */
import { percent } from '../../quantities.ts';
import type { Sentences } from '../sentences.ts';

interface Share {
  right: number;
  rows: number;
}
const shareOf = ({ right, rows }: Share): string => percent(right / rows);
const points = (value: number): string => `${(100 * Math.abs(value)).toFixed(1)} points`;
const mostNames = 5;

export const newRows = {
  'review.of-generation': ({ task }: { task: string }): Sentences => ({
    message: `The answers of "${task}" are written texts.`,
    reason: 'Only labels can be counted on new rows.',
    remedy: 'Read some answers in the playground, or evaluate a new experiment with these rows as its evaluation file.',
  }),
  'review.accuracy': ({ now, ci95, then }: { now: Share; ci95: [number, number]; then: Share | null }): Sentences => ({
    message:
      `${now.right} of ${now.rows} labelled rows are right: ${shareOf(now)} (95 %: ${percent(ci95[0])} to ${percent(ci95[1])}).` +
      (then === null ? '' : ` After its training it was ${shareOf(then)}.`),
  }),
  'review.no-labels': ({ rows }: { rows: number }): Sentences => ({
    message: `None of the ${rows} rows has a label that the student knows.`,
    reason: 'So it is not known how many answers are right.',
    remedy: 'Label some fifty of them by hand and look again.',
  }),
  'review.worse': ({ atLeast }: { atLeast: number }): Sentences => ({
    message: `It has become worse, by ${points(atLeast)} at least.`,
    remedy: 'Train again with these rows.',
  }),
  'review.better': (): Sentences => ({ message: 'It is better than it was: these rows are easier for it.' }),
  'review.same': (): Sentences => ({ message: 'That is no clear difference.' }),
  'review.unknown-labels': ({
    labels,
    rows,
  }: {
    labels: { label: string; rows: number }[];
    rows: number;
  }): Sentences => ({
    message: `${rows === 1 ? '1 row has a label' : `${rows} rows have labels`} that it was never taught: ${labels
      .slice(0, mostNames)
      .map((each) => `"${each.label}" (${each.rows})`)
      .join(', ')}${labels.length > mostNames ? ` and ${labels.length - mostNames} more` : ''}.`,
    reason: 'It cannot answer them.',
    remedy: 'Train again with rows of these labels.',
  }),
  'review.other-classes': ({ distance, byChance }: { distance: number; byChance: number }): Sentences => ({
    message: `It answers with other labels than it used to: ${percent(distance)} of the answers have moved.`,
    reason: `Chance alone moves so many in ${byChance <= 0.001 ? 'at most one case of a thousand' : percent(byChance)}. What people write about has changed.`,
  }),
  'review.same-classes': (): Sentences => ({ message: 'It answers with its labels about as often as it used to.' }),
  'review.unsure': ({ unsure, rows, below }: { unsure: number; rows: number; below: number }): Sentences => ({
    message: `It is unsure of ${unsure} of ${rows} rows, ${percent(unsure / rows)}: their likeliest label has less than ${percent(below, 0)}.`,
  }),
};
