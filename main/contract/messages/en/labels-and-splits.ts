/** What is said of label values, and of the rows that are held out. */
import { percent } from '../../quantities.ts';
import type { Names } from '../names.ts';
import { quoted, type Sentences } from '../sentences.ts';

interface LabelRows {
  readonly label: string;
  readonly rows: number;
}

const inThousands = (value: number): string => value.toLocaleString('en');
/** Shows what can't be seen: zero-width characters and blanks. */
const visible = (label: string): string =>
  JSON.stringify(label).replace(/[\p{Cf}\u00A0]/gu, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
const withRows = ({ label, rows }: LabelRows): string => `${visible(label)} (${inThousands(rows)} rows)`;

export const labelsAndSplits = {
  'labels.near-equal': (
    { groups, all, merged }: { groups: readonly (readonly LabelRows[])[]; all: number; merged: boolean },
    names: Names,
  ): Sentences => {
    const shown = groups.map((alike) => alike.map(withRows).join(' = ')).join('; ');
    return {
      message: `${merged ? 'Labels that were written in several ways are one class each' : 'Some labels look like one class written in several ways'}: ${shown}${all > groups.length ? ', …' : ''}.`,
      reason: merged ? undefined : 'Each spelling is a class of its own, and the model has to tell them apart.',
      remedy: merged ? undefined : `Merge them (${names.setting('task.mergeLabels')}), or correct them in the file.`,
    };
  },
  'labels.left-out': ({ values }: { values: readonly LabelRows[] }, names: Names): Sentences => ({
    message: `Rows without a label are left out: ${values.map(withRows).join(', ')}.`,
    remedy: `If that is a class, say which values stand for no label, or that none does (${names.setting('task.unlabelled')}).`,
  }),
  'labels.perhaps-none': ({ labels }: { labels: readonly string[] }, names: Names): Sentences => ({
    message: `${quoted(labels)} is trained as a class.`,
    remedy: `If it means that nobody has labelled these rows, leave them out (${names.setting('task.unlabelled')}).`,
  }),
  'labels.cleaned': ({ rows }: { rows: number }): Sentences => ({
    message: `The labels of ${inThousands(rows)} rows have zero-width characters, or accents stored as letters of their own. They count as the same labels without.`,
  }),
  'labels.several-in-cell': ({
    separator,
    examples,
    rows,
  }: {
    separator: string;
    examples: readonly string[];
    rows: number;
  }): Sentences => ({
    message: `${inThousands(rows)} rows have several labels in one cell, such as ${quoted(examples)}.`,
    reason: `Their parts, separated by "${separator}", are labels too, but a classifier gives each text one label.`,
    remedy: `Keep the most important label of each row, or make one task for each label, with "yes" and "no". If it is one name, write it without "${separator}".`,
  }),
  'row.no-label-value': (): Sentences => ({ message: 'the label says that nobody has labelled the row' }),
  'row.near-duplicate': (): Sentences => ({ message: 'nearly the same text occurs earlier' }),
  'row.near-shared': (): Sentences => ({ message: 'nearly the same text is also a training row' }),
  'rows.nearly-shared': ({ rows, share }: { rows: number; share: number }): Sentences => ({
    message: `${inThousands(rows)} evaluation rows (${percent(share)}) are nearly the same as training rows: the accuracy may flatter.`,
  }),
  'split.held-out': ({
    held,
    rows,
    by,
    column,
  }: {
    held: number;
    rows: number;
    by: 'class' | 'group' | 'time' | 'seed';
    column: string;
  }): Sentences => ({
    message: {
      class: `${inThousands(held)} of ${inThousands(rows)} rows are held out for evaluation, each class in proportion to its rows.`,
      group: `${inThousands(held)} of ${inThousands(rows)} rows are held out for evaluation; rows with the same "${column}" stay together.`,
      time: `The newest ${inThousands(held)} of ${inThousands(rows)} rows, by "${column}", are held out for evaluation.`,
      seed: `${inThousands(held)} of ${inThousands(rows)} rows, drawn by the seed, are held out for evaluation.`,
    }[by],
  }),
  'split.only-training': ({
    labels,
    all,
    single,
  }: {
    labels: readonly string[];
    all: number;
    single: boolean;
  }): Sentences => ({
    message: `${inThousands(all)} ${all === 1 ? 'class is' : 'classes are'} trained and not tested: ${quoted(labels)}${all > labels.length ? ', …' : ''}.`,
    reason: single ? 'There is one row of each, which stays in training.' : 'They have too few rows to hold any out.',
    remedy: 'Add rows of them, or an evaluation file.',
  }),
  /** `rows`: the first few, as the file counts them. */
  'split.leak': ({
    same,
    near,
    held,
    rows,
  }: {
    same: number;
    near: number;
    held: number;
    rows: readonly number[];
  }): Sentences => ({
    message: `Of the ${inThousands(held)} rows that are held out, ${inThousands(same)} have the text of a training row and ${inThousands(near)} nearly so (row ${rows.join(', ')}${same + near > rows.length ? ', …' : ''}).`,
    reason: 'What was trained on is answered better than what is new: the accuracy will flatter.',
    remedy: 'Remove the repeated rows, or hold out whole groups by a column that they share.',
  }),
  /** `named`: the first few, as the evaluation file counts them. */
  'split.leak-between-files': ({
    same,
    near,
    rows,
    named,
  }: {
    same: number;
    near: number;
    rows: number;
    named: readonly number[];
  }): Sentences => ({
    message: `Of the ${inThousands(rows)} rows of the evaluation file, ${inThousands(same)} have the text of a training row and ${inThousands(near)} nearly so (row ${named.join(', ')}${same + near > named.length ? ', …' : ''}).`,
    reason: 'What was trained on is answered better than what is new: the accuracy will flatter.',
    remedy: 'Remove these rows from one of the files.',
  }),
  'split.nothing-to-hold-out': ({ groups }: { groups: boolean }): Sentences => ({
    message: 'No row can be held out for evaluation.',
    reason: groups
      ? 'With any of the groups, a class would lose its last training row.'
      : 'Every class has one row, and that is needed for training.',
    remedy: 'Add rows, or give an evaluation file.',
  }),
  'split.group-and-time': ({ groupColumn, timeColumn }: { groupColumn: string; timeColumn: string }): Sentences => ({
    message: `Rows are held out by "${groupColumn}" or by "${timeColumn}", not by both.`,
    remedy: 'Choose one of them.',
  }),
  'split.no-time': ({
    column,
    row,
    value,
    rows,
  }: {
    column: string;
    row: number;
    value: string;
    rows: number;
  }): Sentences => ({
    message: `${inThousands(rows)} rows have no time in "${column}", the first in row ${row}: "${value}".`,
    reason: 'Read are numbers, dates such as 2026-11-28 or 28.11.2026, with or without 14:30.',
    remedy: 'Correct these rows, choose another column, or do not split by time.',
  }),
  'labels.answers-begin-another': ({ words }: { words: readonly string[] }): Sentences => ({
    message: `The answer ${words.map((word) => JSON.stringify(word)).join(' begins the answer ')}, and the tokenizer has no end token that could tell them apart.`,
    remedy: 'Give label words of which none begins another.',
  }),
};
