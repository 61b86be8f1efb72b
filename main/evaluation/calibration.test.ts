import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { calibrationOf, fitTemperature, probabilities, type ScoredRow } from './calibration.ts';

interface Case {
  readonly scores: number[][];
  readonly labels: number[];
  readonly temperature: number;
  readonly errorBefore: number;
  readonly error: number;
  readonly sure: [number, number, number][];
}
const golden = JSON.parse(readFileSync(new URL('./golden/calibration.json', import.meta.url), 'utf8')) as Case[];
const rowsOf = ({ scores, labels }: Case): ScoredRow[] =>
  scores.map((each, at) => ({ scores: each, label: labels[at]! }));

describe('calibration of scores', () => {
  it.each(golden)('has the temperature, errors and shares of another implementation (case %#)', (expected) => {
    const found = calibrationOf(rowsOf(expected))!;
    expect(found.temperature).toBeCloseTo(expected.temperature, 5);
    expect(found.errorBefore).toBeCloseTo(expected.errorBefore, 10);
    expect(found.error).toBeCloseTo(expected.error, 5);
    expect(found.sure.map(({ atLeast, rows, right }) => [atLeast, rows, right])).toEqual(expected.sure);
  });

  it('finds where the likelihood has no slope', () => {
    const rows = rowsOf(golden[1]!);
    const loss = (temperature: number): number =>
      rows.reduce((sum, { scores, label }) => sum - Math.log(probabilities(scores, temperature)[label]!), 0);
    const at = fitTemperature(rows);
    const slope = (loss(at * 1.001) - loss(at / 1.001)) / (2 * Math.log(1.001));
    expect(Math.abs(slope)).toBeLessThan(1e-3);
    expect(loss(at)).toBeLessThan(Math.min(loss(at * 1.1), loss(at / 1.1)));
  });

  it('keeps the order of the classes, and stays within bounds where the rows would have it otherwise', () => {
    const right: ScoredRow[] = Array.from({ length: 30 }, () => ({ scores: [-0.1, -2], label: 0 }));
    expect(fitTemperature(right)).toBe(0.05);
    expect(fitTemperature(right.map((row) => ({ ...row, label: 1 })))).toBe(20);
    expect(probabilities([-1000, -1001], 0.05)[0]).toBeGreaterThan(0.5);
  });

  it('says nothing of a few rows', () => {
    const few = rowsOf(golden[0]!).slice(0, 19);
    expect(calibrationOf(few)).toBeNull();
    expect(fitTemperature([])).toBe(1);
  });
});
