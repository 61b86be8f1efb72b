/** Curves: written in batches, read thinned to what a chart can show. */
import type { MetricSample } from '../../experiment/event-file.ts';
import type { Statement } from 'better-sqlite3';
import type { Sqlite } from './database.ts';

export interface MetricPoint {
  readonly step: number;
  /** Null: not a finite number, the run had diverged there. */
  readonly value: number | null;
}
export interface MetricRange {
  readonly from?: number;
  readonly to?: number;
  /** Most points that come back; at least 4, default 1000. */
  readonly points?: number;
}

/** Steps per bucket of a level is radix ** level; six levels span 16.7 million steps per bucket. */
const radix = 16;
const levelCount = 6;

interface Extremes {
  start: number;
  low: number;
  lowStep: number;
  high: number;
  highStep: number;
}
type ExtremesRow = [bucket: number, low: number | null, lowStep: number, high: number | null, highStep: number];

export class MetricStore {
  readonly #database: Sqlite;
  readonly #seriesIds = new Map<string, number>();
  readonly #findSeries: Statement<[string, string], number>;
  readonly #addSeries: Statement<[string, string]>;
  readonly #addPoint: Statement<[number, number, number | null]>;
  readonly #addExtremes: Statement<[number, number, number, number | null, number, number | null, number]>;
  readonly #points: Statement<[number, number, number], [number, number | null]>;
  readonly #extremes: Statement<[number, number, number, number], ExtremesRow>;

  constructor(database: Sqlite) {
    this.#database = database;
    this.#findSeries = database
      .prepare<[string, string], number>('SELECT id FROM series WHERE experiment = ? AND name = ?')
      .pluck();
    this.#addSeries = database.prepare('INSERT INTO series (experiment, name) VALUES (?, ?)');
    this.#addPoint = database.prepare('INSERT OR REPLACE INTO points (series, step, value) VALUES (?, ?, ?)');
    this.#addExtremes = database.prepare(
      'INSERT OR REPLACE INTO extremes (series, level, bucket, low, low_step, high, high_step) VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.#points = database
      .prepare<[number, number, number], [number, number | null]>(
        'SELECT step, value FROM points WHERE series = ? AND step BETWEEN ? AND ? ORDER BY step',
      )
      .raw();
    this.#extremes = database
      .prepare<[number, number, number, number], ExtremesRow>(
        'SELECT bucket, low, low_step, high, high_step FROM extremes WHERE series = ? AND level = ? AND bucket BETWEEN ? AND ? ORDER BY bucket',
      )
      .raw();
  }

  /** Adds samples in one transaction; a sample of a step that is there already replaces it (a resume repeats some steps). */
  append(experiment: string, samples: readonly MetricSample[]): void {
    if (samples.length === 0) return;
    const touched = new Map<number, Set<number>>();
    const write = this.#database.transaction(() => {
      for (const sample of samples) {
        const series = this.#seriesId(experiment, sample.name);
        const step = Math.round(sample.step);
        this.#addPoint.run(series, step, Number.isFinite(sample.value) ? sample.value : null);
        let buckets = touched.get(series);
        if (buckets === undefined) touched.set(series, (buckets = new Set()));
        buckets.add(Math.floor(step / radix));
      }
      for (const [series, buckets] of touched) this.#refresh(series, buckets);
    });
    try {
      write();
    } catch (error) {
      // The rollback took back series that the map already knows.
      this.#seriesIds.clear();
      throw error;
    }
  }

  /** Curves of an experiment with their extent, by name. */
  list(experiment: string): { name: string; first: number; last: number }[] {
    return this.#database
      .prepare<[string], { name: string; first: number; last: number }>(
        `SELECT name, (SELECT min(step) FROM points WHERE series = id) AS first,
                (SELECT max(step) FROM points WHERE series = id) AS last
         FROM series WHERE experiment = ? ORDER BY name`,
      )
      .all(experiment);
  }

  latest(experiment: string, name: string): MetricPoint | null {
    const series = this.#findSeries.get(experiment, name);
    if (series === undefined) return null;
    return (
      this.#database
        .prepare<[number], MetricPoint>('SELECT step, value FROM points WHERE series = ? ORDER BY step DESC LIMIT 1')
        .get(series) ?? null
    );
  }

  /**
   * Points of a curve between two steps (both included) in step order. A range of more steps than `points` is thinned to the
   * least and greatest value of each of `points / 2` slices, so no peak is lost; the rows read are at most
   * about 8 x `points` + 200, however long the curve.
   */
  read(experiment: string, name: string, range: MetricRange = {}): MetricPoint[] {
    const series = this.#findSeries.get(experiment, name);
    if (series === undefined) return [];
    const extent = this.#database
      .prepare<[number, number], { first: number | null; last: number | null }>(
        `SELECT (SELECT min(step) FROM points WHERE series = ?) AS first,
                (SELECT max(step) FROM points WHERE series = ?) AS last`,
      )
      .get(series, series);
    if (extent?.first == null || extent.last == null) return [];
    const from = Math.max(range.from ?? extent.first, extent.first);
    const to = Math.min(range.to ?? extent.last, extent.last);
    const points = Math.max(4, Math.floor(range.points ?? 1000));
    const span = to - from + 1;
    if (span <= points) return this.#points.all(series, from, to).map(([step, value]) => ({ step, value }));
    const slices = Math.floor(points / 2);
    let level = 0;
    while (level < levelCount && radix ** (level + 1) <= span / slices) level += 1;
    return thin(this.#cover(series, from, to, level), from, span, slices);
  }

  #seriesId(experiment: string, name: string): number {
    const key = `${experiment}\0${name}`;
    let id = this.#seriesIds.get(key);
    if (id === undefined) {
      id = this.#findSeries.get(experiment, name) ?? Number(this.#addSeries.run(experiment, name).lastInsertRowid);
      this.#seriesIds.set(key, id);
    }
    return id;
  }

  /** Recomputes the buckets of level 1 and, upwards, those that they lie in, each from its at most radix parts. */
  #refresh(series: number, buckets: Set<number>): void {
    let current = buckets;
    for (let level = 1; level <= levelCount; level++) {
      const above = new Set<number>();
      for (const bucket of current) {
        const first = bucket * radix;
        const parts =
          level === 1
            ? this.#points.all(series, first, first + radix - 1).map(([step, value]) => ofPoint(step, value))
            : this.#extremes.all(series, level - 1, first, first + radix - 1).map((row) => ofRow(row, 0));
        const all = merge(parts.filter((part) => part !== null));
        this.#addExtremes.run(
          series,
          level,
          bucket,
          all?.low ?? null,
          all?.lowStep ?? 0,
          all?.high ?? null,
          all?.highStep ?? 0,
        );
        above.add(Math.floor(bucket / radix));
      }
      current = above;
    }
  }

  /** Extremes of pieces that together are exactly [from, to]: whole buckets of `level`, finer ones at the two edges. */
  #cover(series: number, from: number, to: number, level: number): Extremes[] {
    if (from > to) return [];
    if (level === 0)
      return this.#points
        .all(series, from, to)
        .map(([step, value]) => ofPoint(step, value))
        .filter((part) => part !== null);
    const size = radix ** level;
    const firstWhole = Math.ceil(from / size);
    const lastWhole = Math.floor((to + 1) / size) - 1;
    if (lastWhole < firstWhole) return this.#cover(series, from, to, level - 1);
    const middle = this.#extremes
      .all(series, level, firstWhole, lastWhole)
      .map((row) => ofRow(row, size))
      .filter((part) => part !== null);
    return [
      ...this.#cover(series, from, firstWhole * size - 1, level - 1),
      ...middle,
      ...this.#cover(series, (lastWhole + 1) * size, to, level - 1),
    ];
  }
}

function ofPoint(step: number, value: number | null): Extremes | null {
  return value === null ? null : { start: step, low: value, lowStep: step, high: value, highStep: step };
}

function ofRow([bucket, low, lowStep, high, highStep]: ExtremesRow, size: number): Extremes | null {
  return low === null || high === null ? null : { start: bucket * size, low, lowStep, high, highStep };
}

function merge(parts: readonly Extremes[]): Extremes | null {
  const [first, ...rest] = parts;
  if (first === undefined) return null;
  const all = { ...first };
  for (const part of rest) {
    if (part.low < all.low) {
      all.low = part.low;
      all.lowStep = part.lowStep;
    }
    if (part.high > all.high) {
      all.high = part.high;
      all.highStep = part.highStep;
    }
  }
  return all;
}

/** At most two points per slice of the range, in step order. */
function thin(pieces: readonly Extremes[], from: number, span: number, slices: number): MetricPoint[] {
  const bySlice: Extremes[][] = [];
  for (const piece of pieces) {
    const slice = Math.min(slices - 1, Math.max(0, Math.floor(((piece.start - from) * slices) / span)));
    (bySlice[slice] ??= []).push(piece);
  }
  const points: MetricPoint[] = [];
  for (const group of bySlice) {
    const all = merge(group ?? []);
    if (all === null) continue;
    const low = { step: all.lowStep, value: all.low };
    const high = { step: all.highStep, value: all.high };
    if (low.step === high.step) points.push(low);
    else points.push(...(low.step < high.step ? [low, high] : [high, low]));
  }
  return points;
}
