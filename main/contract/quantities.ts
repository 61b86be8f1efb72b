/** Quantities as people read them, on every surface. */

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes in decimal units, as file managers and disks have them, with three digits: `1.23 GB`. */
export function bytesInWords(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? String(Math.round(value)) : value.toPrecision(3)} ${byteUnits[unit]!}`;
}

/** A share of 1 as a percentage: `85.6 %`. */
export function percent(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)} %`;
}

/** Bytes of all of them. */
export function sumOf(terms: readonly { readonly bytes: number }[]): number {
  return terms.reduce((sum, { bytes }) => sum + bytes, 0);
}
