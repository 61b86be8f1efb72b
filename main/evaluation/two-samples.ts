/** Two samples of different rows: whether a share has changed, and whether the classes come as often as before. */
import { TritsmithError } from '../contract/errors.ts';
import { Random } from '../basics/random.ts';
import { wilsonInterval } from './wilson.ts';

/**
 * 95 % interval of the difference of two independent shares, the second less the first, from their Wilson intervals (Newcombe 1998, Statistics in
 * Medicine 17, 873-890, method 10). Without rows on a side it says nothing: [-1, 1] at the widest.
 * @throws TritsmithError as `wilsonInterval`
 */
export function shareDifference(
  [right1, total1]: readonly [number, number],
  [right2, total2]: readonly [number, number],
): { readonly difference: number; readonly ci95: [number, number] } {
  const [low1, high1] = wilsonInterval(right1, total1);
  const [low2, high2] = wilsonInterval(right2, total2);
  const share1 = total1 === 0 ? (low1 + high1) / 2 : right1 / total1;
  const share2 = total2 === 0 ? (low2 + high2) / 2 : right2 / total2;
  const difference = share2 - share1;
  return {
    difference,
    ci95: [
      difference - Math.hypot(share2 - low2, high1 - share1),
      difference + Math.hypot(high2 - share2, share1 - low1),
    ],
  };
}

const permutations = 999;
/** More rows than this of a sample change nothing that anybody would notice; they are scaled down. */
const mostRows = 20_000;

/** Total variation distance of two samples, given as the rows of each class: 0 alike, 1 nothing in common. */
export function distance(first: readonly number[], second: readonly number[]): number {
  const total = (counts: readonly number[]): number =>
    Math.max(
      1,
      counts.reduce((sum, rows) => sum + rows, 0),
    );
  const [all1, all2] = [total(first), total(second)];
  return first.reduce((sum, rows, at) => sum + Math.abs(rows / all1 - second[at]! / all2), 0) / 2;
}

/**
 * How far the classes of two samples differ, and how often chance alone makes as much of rows of one kind: a permutation test with 999 drawings,
 * whose least value is 0.001. The same seed gives the same figure.
 * @throws TritsmithError `bad-input` for samples of different classes, or without rows
 */
export function classChange(
  first: readonly number[],
  second: readonly number[],
  seed = 1,
): { readonly distance: number; readonly byChance: number } {
  const scaled = (counts: readonly number[]): number[] => {
    const total = counts.reduce((sum, rows) => sum + rows, 0);
    return total <= mostRows ? [...counts] : counts.map((rows) => Math.round((rows * mostRows) / total));
  };
  const [one, two] = [scaled(first), scaled(second)];
  const rows = one.reduce((sum, count) => sum + count, 0);
  const pooled = Int32Array.from([...one, ...two].flatMap((count, at) => Array<number>(count).fill(at % one.length)));
  if (one.length !== two.length || rows === 0 || rows === pooled.length)
    throw new TritsmithError('bad-input', 'scores.no-samples', { first: first.length, second: second.length });
  const random = new Random(seed);
  const found = distance(one, two);
  let asFar = 1;
  for (let drawing = 0; drawing < permutations; drawing += 1) {
    random.shuffle(pooled);
    const drawn = [one.map(() => 0), one.map(() => 0)] as const;
    pooled.forEach((label, row) => (drawn[row < rows ? 0 : 1][label]! += 1));
    if (distance(...drawn) >= found - 1e-12) asFar += 1;
  }
  return { distance: distance(first, second), byChance: asFar / (permutations + 1) };
}
