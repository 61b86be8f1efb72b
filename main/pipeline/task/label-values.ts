/** What the values of a label column stand for: which are one class written in several ways, which are no label at all. One reading for check, wizard, training and answers. */
import type { TaskSettings } from '../../contract/recipe.ts';

export type LabelSettings = Partial<Pick<TaskSettings, 'rules' | 'mergeLabels' | 'unlabelled'>>;

/** A label value and how many rows have it. */
export interface LabelCount {
  readonly label: string;
  readonly rows: number;
}

export interface LabelValues {
  /** Class of a value of the file, also of one that the training rows do not have; null: no label. */
  classOf(value: string): string | null;
  /** Rows of each value, as the file has it. */
  readonly counts: ReadonlyMap<string, number>;
  /** Rows of each class. */
  readonly classes: ReadonlyMap<string, number>;
  /** Values that differ only in case, blanks, invisible characters or the way a number is written; most frequent first. */
  readonly nearEqual: readonly (readonly LabelCount[])[];
  /** Values that stand for no label. */
  readonly leftOut: readonly LabelCount[];
  /** Values that may stand for no label; they are classes. */
  readonly perhapsNone: readonly string[];
  /** Rows whose value was cleaned. */
  readonly cleaned: number;
  readonly several: SeveralLabels | null;
}

/** Cells with more than one label. */
export interface SeveralLabels {
  readonly separator: string;
  readonly examples: readonly string[];
  readonly rows: number;
}

const surelyNone = new Set(['n/a', '#n/a', '<na>', 'nan', 'null', '?', 'unlabelled', 'unlabeled', 'no label']);
const perhapsNone = new Set(['unknown', 'none', 'na', '-', 'undefined', 'missing']);

/** The same text whatever program wrote it: composed accents, no zero-width characters, no blanks around it. */
export function cleanLabel(value: string): string {
  return value
    .normalize('NFC')
    .replace(/[\u200B\u2060\uFEFF\u00AD]/gu, '')
    .replace(/^[\s\p{Cf}]+|[\s\p{Cf}]+$/gu, '');
}

/** Equal for values that a person takes for one: `Spam` and `spam `, `1` and `1.0`, `TRUE` and `true`. */
function nearKey(value: string): string {
  const text = value
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\p{Cf}/gu, '')
    .replace(/\s+/gu, ' ')
    .trim();
  return /^[+-]?\d{1,15}(\.\d{0,15})?$/.test(text) ? String(Number(text)) : text;
}

const mostFirst = (a: LabelCount, b: LabelCount): number => b.rows - a.rows || (a.label < b.label ? -1 : 1);

/**
 * Reads the values of a label column.
 * @param counts rows of each value, as the file has it
 */
export function labelValues(counts: ReadonlyMap<string, number>, settings: LabelSettings): LabelValues {
  const clean = settings.rules === undefined ? (value: string) => value.trim() : cleanLabel;
  const rows = new Map<string, number>();
  let cleaned = 0;
  for (const [value, count] of counts) {
    const label = clean(value);
    if (label !== value.trim()) cleaned += count;
    rows.set(label, (rows.get(label) ?? 0) + count);
  }
  const byKey = new Map<string, LabelCount[]>();
  for (const [label, count] of rows) {
    const key = nearKey(label);
    byKey.set(key, [...(byKey.get(key) ?? []), { label, rows: count }]);
  }
  for (const alike of byKey.values()) alike.sort(mostFirst);
  const none = noLabels([...byKey.keys()], settings);
  const classOf = (value: string): string | null => {
    const label = clean(value);
    const key = nearKey(label);
    if (label === '' || none.has(key)) return null;
    return settings.mergeLabels === true ? (byKey.get(key)?.[0]?.label ?? label) : label;
  };
  const classes = new Map<string, number>();
  for (const [label, count] of rows) {
    const found = classOf(label);
    if (found !== null) classes.set(found, (classes.get(found) ?? 0) + count);
  }
  const groups = [...byKey].filter(([key]) => !none.has(key)).map(([, alike]) => alike);
  return {
    classOf,
    counts,
    classes,
    nearEqual: groups.filter(({ length }) => length > 1).sort((a, b) => mostFirst(a[0]!, b[0]!)),
    leftOut: [...byKey]
      .filter(([key]) => none.has(key))
      .flatMap(([, alike]) => alike)
      .sort(mostFirst),
    perhapsNone: [...classes.keys()].filter((label) => perhapsNone.has(nearKey(label))),
    cleaned,
    several: severalLabels(classes),
  };
}

/** Keys of the values that stand for no label: those that are given, else those that surely do. */
function noLabels(keys: readonly string[], { rules, unlabelled }: LabelSettings): ReadonlySet<string> {
  if (unlabelled !== undefined) return new Set(unlabelled.map((value) => nearKey(cleanLabel(value))));
  if (rules === undefined) return new Set();
  const found = new Set(surelyNone);
  const others = keys.filter((key) => !surelyNone.has(key) && key !== '-1');
  // As in GLUE: classes are numbered from 0, and -1 is what nobody has labelled.
  const numbered = others.length > 1 && others.every((_, index) => others.includes(String(index)));
  if (numbered) found.add('-1');
  return others.length > 1 ? found : new Set();
}

/** Where values are lists of labels: most parts of them are labels by themselves. */
function severalLabels(classes: ReadonlyMap<string, number>): SeveralLabels | null {
  const single = new Set([...classes.keys()].map(nearKey));
  for (const separator of ['|', ';', ',']) {
    const lists = [...classes].filter(([label]) => label.includes(separator));
    const parts = new Map<string, number>();
    for (const [label] of lists) {
      const own = new Set(label.split(separator).map(nearKey));
      own.delete('');
      for (const part of own) parts.set(part, (parts.get(part) ?? 0) + 1);
    }
    const alone = [...parts.keys()].filter((part) => single.has(part)).length;
    const again = [...parts.values()].filter((times) => times > 1).length;
    // A comma may be part of a name; a single such value says nothing.
    const enough = lists.length >= (separator === ',' ? 2 : 1) && parts.size > 1;
    const recombined = lists.length > 2 && again === parts.size && separator !== ',';
    if (enough && (alone > parts.size / 2 || recombined))
      return {
        separator,
        examples: lists.slice(0, 3).map(([label]) => label),
        rows: lists.reduce((sum, [, rows]) => sum + rows, 0),
      };
  }
  return null;
}
