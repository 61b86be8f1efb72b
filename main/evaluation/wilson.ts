/** Interval of a share of right answers. */
import { TritsmithError } from '../contract/errors.ts';

/** Standard normal quantile of a two-sided 95 % interval. */
export const z95 = 1.959963984540054;

/**
 * Wilson score interval of `right` out of `total` (Wilson 1927, JASA 22, 209-212; no continuity correction), as shares in
 * [0, 1]. It stays inside [0, 1] and is not empty at 0 or `total` right answers. `total` 0 says nothing: [0, 1].
 * Throws `bad-input` unless both are whole numbers with 0 <= right <= total.
 */
export function wilsonInterval(right: number, total: number, z: number = z95): [number, number] {
  if (!Number.isInteger(right) || !Number.isInteger(total) || right < 0 || right > total)
    throw new TritsmithError('bad-input', 'scores.no-interval', { right, total });
  if (total === 0) return [0, 1];
  const share = right / total;
  const z2 = z * z;
  const centre = share + z2 / (2 * total);
  const half = z * Math.sqrt((share * (1 - share)) / total + z2 / (4 * total * total));
  const scale = 1 + z2 / total;
  return [
    right === 0 ? 0 : Math.max(0, (centre - half) / scale),
    right === total ? 1 : Math.min(1, (centre + half) / scale),
  ];
}
