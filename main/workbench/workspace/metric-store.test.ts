import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, type Sqlite } from './database.ts';
import { MetricStore } from './metric-store.ts';
import { readTernaryWeights } from '../results/ternary-weights.ts';

let folder: string;
let database: Sqlite;
let metrics: MetricStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-metrics-'));
  ({ database } = openDatabase(join(folder, 'workbench.sqlite')));
  database.prepare("INSERT INTO experiments VALUES ('e', 'e', 'running', '{}', 1, 0, 0, NULL, '{}', '{}', NULL)").run();
  metrics = new MetricStore(database);
});
afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A wave with one deep and one high spike, so that thinning by averages or by skipping would be noticed. */
function value(step: number): number {
  if (step === 345_678) return -50;
  if (step === 765_432) return 99;
  return Math.sin(step / 5000);
}

describe('curves', () => {
  it('come back as they were written, each under its name', () => {
    metrics.append('e', [
      { name: 'distil/loss', step: 1, value: 0.5 },
      { name: 'distil/loss', step: 2, value: 0.25 },
      { name: 'distil/gamma', step: 1, value: 60 },
    ]);
    expect(metrics.read('e', 'distil/loss')).toEqual([
      { step: 1, value: 0.5 },
      { step: 2, value: 0.25 },
    ]);
    expect(metrics.list('e')).toEqual([
      { name: 'distil/gamma', first: 1, last: 1 },
      { name: 'distil/loss', first: 1, last: 2 },
    ]);
    expect(metrics.latest('e', 'distil/loss')).toEqual({ step: 2, value: 0.25 });
    expect(metrics.read('e', 'nothing')).toEqual([]);
  });

  it('keep the newer value of a step that a resume repeats, in every thinned view too', () => {
    const first = Array.from({ length: 5000 }, (_, step) => ({ name: 'l', step, value: step === 2500 ? 1000 : 0 }));
    metrics.append('e', first);
    expect(Math.max(...metrics.read('e', 'l', { points: 10 }).map((point) => point.value!))).toBe(1000);
    metrics.append('e', [{ name: 'l', step: 2500, value: 1 }]);
    expect(Math.max(...metrics.read('e', 'l', { points: 10 }).map((point) => point.value!))).toBe(1);
  });

  it('of the ternary layers are one table of layers over time', () => {
    const report = (step: number, layer: number, [negative, zero, positive]: number[], flips: number) =>
      Object.entries({ negative, zero, positive, 'flip-rate': flips }).map(([what, value]) => ({
        name: `distil/ternary/${String(layer)}/${what}`,
        step,
        value: value!,
      }));
    metrics.append('e', [
      ...report(900, 0, [0.25, 0.5, 0.25], 0.01),
      ...report(900, 1, [0.375, 0.25, 0.375], 0.02),
      ...report(100_000, 0, [0.5, 0.25, 0.25], 0.005),
      ...report(100_000, 1, [0.125, 0.75, 0.125], 0.001),
      { name: 'distil/loss', step: 5, value: 1 },
    ]);
    expect(readTernaryWeights(metrics, 'e', 'distil')).toEqual({
      steps: [900, 100_000],
      layers: [
        { negative: [0.25, 0.5], zero: [0.5, 0.25], positive: [0.25, 0.25], flipRate: [0.01, 0.005] },
        { negative: [0.375, 0.125], zero: [0.25, 0.75], positive: [0.375, 0.125], flipRate: [0.02, 0.001] },
      ],
    });
    expect(readTernaryWeights(metrics, 'e', 'finetune')).toEqual({ steps: [], layers: [] });
  });

  it('hold a diverged value as a gap', () => {
    metrics.append('e', [
      { name: 'l', step: 1, value: NaN },
      { name: 'l', step: 2, value: Infinity },
      { name: 'l', step: 3, value: 2 },
    ]);
    expect(metrics.read('e', 'l').map((point) => point.value)).toEqual([null, null, 2]);
  });

  it('survive a failed batch: nothing of it stays, and the next one works', () => {
    expect(() => {
      metrics.append('e', [
        { name: 'new', step: 1, value: 1 },
        { name: 'new', step: Number.NaN, value: 1 },
      ]);
    }).toThrow();
    expect(metrics.read('e', 'new')).toEqual([]);
    metrics.append('e', [{ name: 'new', step: 1, value: 1 }]);
    expect(metrics.read('e', 'new')).toEqual([{ step: 1, value: 1 }]);
  });

  it('agree with a scan of all points for any range and number of points', () => {
    const all = Array.from({ length: 6000 }, (_, index) => ({ step: index * 3, value: ((index * 7919) % 1009) - 500 }));
    metrics.append(
      'e',
      all.map((point) => ({ name: 'l', ...point })),
    );
    fc.assert(
      fc.property(fc.nat(18_000), fc.nat(18_000), fc.integer({ min: 4, max: 300 }), (a, b, points) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const inside = all.filter((point) => point.step >= from && point.step <= to);
        const read = metrics.read('e', 'l', { from, to, points });
        expect(read.length).toBeLessThanOrEqual(points);
        const values = read.map((point) => point.value!);
        if (inside.length === 0) expect(read).toEqual([]);
        else {
          expect(Math.min(...values)).toBe(Math.min(...inside.map((point) => point.value)));
          expect(Math.max(...values)).toBe(Math.max(...inside.map((point) => point.value)));
        }
        expect(read.every((point) => all.some((each) => each.step === point.step && each.value === point.value))).toBe(
          true,
        );
        expect(read.map((point) => point.step)).toEqual(read.map((point) => point.step).toSorted((x, y) => x - y));
      }),
      { numRuns: 60 },
    );
  });

  it('stay fast at a million points, with no spike lost', () => {
    const started = performance.now();
    for (let first = 0; first < 1_000_000; first += 20_000)
      metrics.append(
        'e',
        Array.from({ length: 20_000 }, (_, index) => ({ name: 'l', step: first + index, value: value(first + index) })),
      );
    const written = performance.now();
    const points = metrics.read('e', 'l', { points: 1000 });
    const read = performance.now();
    const zoomed = metrics.read('e', 'l', { from: 345_000, to: 346_000, points: 2000 });
    const end = performance.now();
    expect(points.length).toBeGreaterThan(900);
    expect(points.length).toBeLessThanOrEqual(1000);
    expect(points).toContainEqual({ step: 345_678, value: -50 });
    expect(points).toContainEqual({ step: 765_432, value: 99 });
    expect(zoomed).toEqual(
      Array.from({ length: 1001 }, (_, index) => ({ step: 345_000 + index, value: value(345_000 + index) })),
    );
    process.stdout.write(
      `1e6 points: written in ${(written - started).toFixed(0)} ms, 1000 read in ${(read - written).toFixed(1)} ms, a zoom of 1001 in ${(end - read).toFixed(1)} ms\n`,
    );
  });
});
