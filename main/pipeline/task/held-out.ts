/** Which rows of a training file are held out where there is no evaluation file. A function of the rows and the seed alone. */
import { TritsmithError } from '../../contract/errors.ts';
import { Random } from '../../basics/random.ts';

export interface SplitRows {
  /** Class of each row; empty for written answers. */
  readonly classes: readonly string[];
  /** Group of each row; null: every row stands for itself. */
  readonly groups: readonly string[] | null;
  /** Time of each row; null: the seed draws. */
  readonly times: readonly number[] | null;
}

/** Rows `0..rows - 1` in the order of the seed. */
export function orderOfSeed(rows: number, seed: number): Int32Array {
  return new Random(seed).shuffle(Int32Array.from({ length: rows }, (_, index) => index));
}

/**
 * The rows that are held out, about `wanted` of `rows`. Of every class at least one row stays in training.
 * By class (each in proportion), by whole groups, or the newest, whichever `split` asks for.
 * @throws TritsmithError `bad-input` where no row can be held out so
 */
export function heldOutRows(rows: number, wanted: number, split: SplitRows, seed: number): Int32Array {
  const order = orderOfSeed(rows, seed);
  const held =
    split.times !== null
      ? newest(rows, wanted, split, split.times)
      : split.groups !== null
        ? wholeGroups(order, wanted, split, split.groups)
        : stratified(order, wanted, split);
  if (held.length === 0)
    throw new TritsmithError('bad-input', 'split.nothing-to-hold-out', { groups: split.groups !== null });
  return Int32Array.from(held).sort();
}

/** Each class in proportion to its rows, by largest remainders. */
function stratified(order: Int32Array, wanted: number, { classes }: SplitRows): number[] {
  if (classes.length === 0) return [...order.subarray(0, Math.min(wanted, order.length - 1))];
  const byClass = new Map<string, number[]>();
  for (const row of order) {
    const own = byClass.get(classes[row]!);
    if (own === undefined) byClass.set(classes[row]!, [row]);
    else own.push(row);
  }
  const shares = [...byClass].map(([name, own]) => {
    const exact = (own.length * wanted) / order.length;
    const most = own.length - 1;
    const whole = Math.min(most, Math.floor(exact));
    return { name, own, most, count: whole, remainder: exact - whole };
  });
  shares.sort((a, b) => b.remainder - a.remainder || (a.name < b.name ? -1 : 1));
  let left = wanted - shares.reduce((sum, { count }) => sum + count, 0);
  while (left > 0 && shares.some(({ count, most }) => count < most))
    for (const share of shares)
      if (left > 0 && share.count < share.most) {
        share.count += 1;
        left -= 1;
      }
  return shares.flatMap(({ own, count }) => own.slice(0, count));
}

/** Counts what stays in training, so that no class loses its last row. */
class Remaining {
  readonly #rows = new Map<string, number>();
  readonly #classes: readonly string[];

  constructor(classes: readonly string[]) {
    this.#classes = classes;
    for (const name of classes) this.#rows.set(name, (this.#rows.get(name) ?? 0) + 1);
  }

  /** Takes rows out of training, unless a class would have none left. */
  take(rows: readonly number[]): boolean {
    if (this.#classes.length === 0) return true;
    const taken = new Map<string, number>();
    for (const row of rows) taken.set(this.#classes[row]!, (taken.get(this.#classes[row]!) ?? 0) + 1);
    for (const [name, count] of taken) if (this.#rows.get(name)! <= count) return false;
    for (const [name, count] of taken) this.#rows.set(name, this.#rows.get(name)! - count);
    return true;
  }
}

function wholeGroups(order: Int32Array, wanted: number, { classes }: SplitRows, groups: readonly string[]): number[] {
  const members = new Map<string, number[]>();
  for (const row of order) {
    // Rows that name no group stand for themselves.
    const group = groups[row] ?? '';
    const key = group === '' ? `row ${String(row)}` : `group ${group}`;
    const own = members.get(key);
    if (own === undefined) members.set(key, [row]);
    else own.push(row);
  }
  const remaining = new Remaining(classes);
  const held: number[] = [];
  const tooLarge: number[][] = [];
  for (const own of members.values())
    if (held.length + own.length > wanted) tooLarge.push(own);
    else if (remaining.take(own)) held.push(...own);
  // Where every group is larger than what was asked for, the smallest that can go is better than none.
  if (held.length === 0 && members.size > 1)
    for (const own of tooLarge.sort((a, b) => a.length - b.length)) if (remaining.take(own)) return own;
  return held;
}

function newest(rows: number, wanted: number, { classes }: SplitRows, times: readonly number[]): number[] {
  const remaining = new Remaining(classes);
  const held: number[] = [];
  const byTime = Array.from({ length: rows }, (_, row) => row).sort((a, b) => times[b]! - times[a]! || b - a);
  for (const row of byTime) {
    if (held.length >= Math.min(wanted, rows - 1)) break;
    if (remaining.take([row])) held.push(row);
  }
  return held;
}

/**
 * A moment as a number that grows with time: a number as it is (a year, seconds, milliseconds), a date of ISO 8601 or `31.12.2026`; NaN for anything
 * else, such as 12/11/2026, of which nobody knows which is the month.
 */
export function timeOf(value: string): number {
  const text = value.trim();
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  const german = /^(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)$/.exec(text);
  const iso =
    german === null ? text : `${german[3]!}-${german[2]!.padStart(2, '0')}-${german[1]!.padStart(2, '0')}${german[4]!}`;
  const parts = /^(\d{4}-\d{2}-\d{2})(?:[T ]+(\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$/.exec(
    iso,
  );
  if (parts === null) return NaN;
  const zone = parts[3] === undefined || parts[3] === 'UTC' ? 'Z' : parts[3].replace(/^(...)(\d\d)$/, '$1:$2');
  return Date.parse(`${parts[1]!}T${parts[2] ?? '00:00'}${zone}`);
}
