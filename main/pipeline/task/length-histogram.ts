/** Lengths of many rows in bounded memory. */

/** Bins end at 8, 16, 32 ... */
const firstBin = 8;

export interface LengthSummary {
  median: number;
  p95: number;
  longest: number;
  bins: { upTo: number; rows: number }[];
}

export class LengthHistogram {
  readonly #rowsOfLength = new Map<number, number>();
  #rows = 0;
  #longest = 0;

  add(length: number): void {
    this.#rowsOfLength.set(length, (this.#rowsOfLength.get(length) ?? 0) + 1);
    this.#rows++;
    this.#longest = Math.max(this.#longest, length);
  }

  /** Exact median and 95th percentile (the smallest length that so many rows do not exceed), and bins that double. */
  summary(): LengthSummary {
    const sorted = [...this.#rowsOfLength].sort((a, b) => a[0] - b[0]);
    const quantile = (share: number): number => {
      let below = 0;
      for (const [length, rows] of sorted) {
        below += rows;
        if (below >= share * this.#rows) return length;
      }
      return 0;
    };
    const bins: LengthSummary['bins'] = [];
    for (let upTo = firstBin, from = 0; this.#rows > 0; from = upTo + 1, upTo *= 2) {
      const inside = sorted.filter(([length]) => length >= from && length <= upTo);
      bins.push({ upTo, rows: inside.reduce((sum, [, rows]) => sum + rows, 0) });
      if (upTo >= this.#longest) break;
    }
    return { median: quantile(0.5), p95: quantile(0.95), longest: this.#longest, bins };
  }
}
