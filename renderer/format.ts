/** Quantities as people read them. */
import { bytesInWords } from '../main/contract/quantities.ts';
import { texts } from './texts.ts';

const number = new Intl.NumberFormat('en');

export function count(value: number): string {
  return number.format(Math.round(value));
}

export function bytes(value: number | null): string {
  return value === null ? texts.none : bytesInWords(value);
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
  const whole = Math.round(seconds);
  if (whole < 60) return `${String(whole)} s`;
  if (whole < 600) return `${String(Math.floor(whole / 60))} min ${String(whole % 60).padStart(2, '0')} s`;
  if (seconds < 5400) return `${String(Math.round(seconds / 60))} min`;
  if (seconds < 48 * 3600)
    return `${String(Math.floor(seconds / 3600))} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, '0')} min`;
  return `${(seconds / 86_400).toFixed(1)} days`;
}

/** Milliseconds for what is below a second. */
export function shortTime(seconds: number): string {
  return seconds < 1 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(1)} s`;
}

/** An edge of an estimate in steps that people round to: 5 s, 1 min, half an hour, half a day. */
function edge(seconds: number, round: (value: number) => number): [amount: number, unit: string] {
  const fives = round(seconds / 5) * 5;
  if (fives < 60) return [fives, 's'];
  if (round(seconds / 60) <= 90) return [round(seconds / 60), 'min'];
  if (seconds < 48 * 3600) return [round(seconds / 1800) / 2, 'h'];
  return [round(seconds / 43_200) / 2, 'days'];
}

/** "3 to 5 min", "40 s to 2 min"; coarse and rounded outwards, because it is an estimate. */
export function timeRange(range: { low: number; high: number } | null): string {
  if (range === null) return texts.run.etaUnknown;
  if (range.high < 5) return texts.run.etaSoon;
  const [low, lowUnit] = edge(range.low, Math.floor);
  const [high, highUnit] = edge(range.high, Math.ceil);
  const end = `${String(high)} ${highUnit}`;
  if (low === 0) return texts.upTo(end);
  if (lowUnit !== highUnit) return `${String(low)} ${lowUnit} ${texts.to} ${end}`;
  return low === high ? texts.about(end) : `${String(low)} ${texts.to} ${end}`;
}

/** Day and time; the year where it is another one. */
export function date(milliseconds: number, now = Date.now()): string {
  const when = new Date(milliseconds);
  return when.toLocaleString(undefined, {
    ...(when.getFullYear() === new Date(now).getFullYear() ? {} : { year: 'numeric' }),
    month: 'short',
    day: 'numeric',
    hour: 'numeric',
    minute: '2-digit',
  });
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

/** Decimal places that write a whole multiple of `step` exactly. */
function places(step: number): number {
  for (let digits = 0; digits < 8; digits += 1) {
    const scaled = step * 10 ** digits;
    if (scaled > 0.5 && Math.abs(scaled - Math.round(scaled)) < 1e-6 * scaled) return digits;
  }
  return 8;
}

/** Labels of a linear axis, all written alike and with as many digits as tell neighbours apart; `shares` in percent. */
export function axisLabels(splits: readonly (number | null)[], shares = false): string[] {
  const factor = shares ? 100 : 1;
  const known = splits.filter((value): value is number => value !== null).map((value) => value * factor);
  const digits = known.length > 1 ? places(Math.abs(known[1]! - known[0]!)) : 0;
  const largest = Math.max(0, ...known.map(Math.abs));
  return splits.map((value) => {
    if (value === null) return '';
    const scaled = value * factor;
    if (Math.abs(scaled) < largest * 1e-9) return shares ? '0 %' : '0';
    if (shares) return `${scaled.toFixed(digits)} %`;
    if (digits > 4) return scaled.toExponential(Math.max(0, digits + Math.floor(Math.log10(Math.abs(scaled)))));
    return new Intl.NumberFormat('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(scaled);
  });
}
