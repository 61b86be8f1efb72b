/** Numbers as people read them. */
import type { TimeRange } from '../../contract/experiments.ts';

export { bytesInWords as bytes } from '../../contract/quantities.ts';

export function count(value: number): string {
  return value >= 10_000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(4)));
}

export function parameters(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} B`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  return `${(value / 1e3).toPrecision(3)} k`;
}

export function duration(seconds: number): string {
  if (seconds < 59.5) return `${String(Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${String(minutes)} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${String(hours)} h ${String(minutes % 60)} min`;
  return `${String(Math.round(hours / 24))} days`;
}

/** Time that has passed: with the seconds as long as they matter. */
export function elapsed(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60 || whole >= 600) return duration(seconds);
  return `${String(Math.floor(whole / 60))} min ${String(whole % 60)} s`;
}

/** `2 min - 4 min left`, one figure when both ends read the same. */
export function timeLeft(range: TimeRange): string {
  if (range === null) return 'measuring';
  const [low, high] = [duration(range.low), duration(range.high)];
  return low === high ? `${low} left` : `${low} - ${high} left`;
}

export function date(milliseconds: number): string {
  return new Date(milliseconds).toLocaleString('sv-SE').slice(0, 16);
}
