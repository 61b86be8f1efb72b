/** How alike two models answer, whether rightly or not: the faithfulness of a student to its teacher. */
import { TritsmithError } from '../contract/errors.ts';
import { wilsonInterval } from './wilson.ts';

export interface Agreement {
  readonly rows: number;
  /** Rows with the same answer. */
  readonly same: number;
  readonly share: number;
  /** 95 % Wilson interval of `share`. */
  readonly ci95: [number, number];
  /** Cohen's kappa (1960): agreement beyond what the two answer distributions give by chance; NaN when both always give one answer. */
  readonly kappa: number;
}

/** Agreement of two lists of answers to the same rows. Throws `bad-input` for lists of different lengths or without rows. */
export function agreement<T>(first: readonly T[], second: readonly T[]): Agreement {
  const rows = first.length;
  if (rows === 0 || second.length !== rows)
    throw new TritsmithError('bad-input', 'scores.agreement-rows', { first: rows, second: second.length });
  const counts = new Map<T, [number, number]>();
  const countOf = (answer: T): [number, number] => {
    const known = counts.get(answer);
    if (known) return known;
    const fresh: [number, number] = [0, 0];
    counts.set(answer, fresh);
    return fresh;
  };
  let same = 0;
  first.forEach((answer, row) => {
    const other = second[row]!;
    if (answer === other) same++;
    countOf(answer)[0]++;
    countOf(other)[1]++;
  });
  let byChance = 0;
  for (const [inFirst, inSecond] of counts.values()) byChance += (inFirst / rows) * (inSecond / rows);
  const share = same / rows;
  return { rows, same, share, ci95: wilsonInterval(same, rows), kappa: (share - byChance) / (1 - byChance) };
}
