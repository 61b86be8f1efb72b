/** Quantities as people read them. */
import { texts } from './texts.ts';

const number = new Intl.NumberFormat('en');

export function count(value: number): string {
  return number.format(Math.round(value));
}

/** 12.3 MB; decimal units, as file managers and disks have them. */
export function bytes(value: number | null): string {
  if (value === null) return texts.none;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? String(Math.round(size)) : size.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0)} ${units[unit] ?? ''}`;
}

export function percent(value: number, digits = 1): string {
  return `${(value * 100).toFixed(digits)} %`;
}

/** A share as a CSS length. */
export function length(share: number): string {
  return `${(Math.min(1, Math.max(0, share)) * 100).toFixed(2)}%`;
}

/** Parameters: 0.65 M, 596 M, 1.7 B. */
export function parameters(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} B`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e8 ? 2 : 0)} M`;
  return `${(value / 1e3).toFixed(0)} k`;
}

/** Seconds as "42 s", "3 min 20 s", "2 h 05 min", "4 days". */
export function duration(seconds: number): string {
  if (seconds < 1) return '< 1 s';
  if (seconds < 90) return `${String(Math.round(seconds))} s`;
  if (seconds < 600)
    return `${String(Math.floor(seconds / 60))} min ${String(Math.round(seconds % 60)).padStart(2, '0')} s`;
  if (seconds < 5400) return `${String(Math.round(seconds / 60))} min`;
  if (seconds < 48 * 3600)
    return `${String(Math.floor(seconds / 3600))} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, '0')} min`;
  return `${(seconds / 86_400).toFixed(1)} days`;
}

/** Milliseconds for what is below a second. */
export function shortTime(seconds: number): string {
  return seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(1)} s`;
}

/** "3 to 5 min"; coarse, because it is an estimate. */
export function timeRange(range: { low: number; high: number } | null): string {
  if (range === null) return texts.run.etaUnknown;
  if (range.high < 5) return texts.run.etaSoon;
  const [low, high] = [duration(range.low), duration(range.high)];
  return low === high ? low : `${low} ${texts.to} ${high}`;
}

export function date(milliseconds: number): string {
  return new Date(milliseconds).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

/** Four significant digits, for metrics. */
export function measure(value: number | null | undefined): string {
  if (value === null || value === undefined) return texts.none;
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
  return Math.abs(value) >= 1000 ? count(value) : String(Number(value.toPrecision(4)));
}

/** A share in percent with three significant digits: 94.6 %, 0.0061 %. */
export function share(value: number | null | undefined): string {
  if (value === null || value === undefined) return texts.none;
  return `${String(Number((value * 100).toPrecision(3)))} %`;
}
