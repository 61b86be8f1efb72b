import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { compareServing, servingPage } from './serving.ts';
import { quantile } from './serving/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'tritsmith-bench-serving-'));
beforeAll(() => vi.stubEnv('TRITSMITH_BENCH_CACHE', folder));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

it(
  'measures completions and classes of the real server, and says what cannot be made',
  { timeout: 120_000 },
  async () => {
    const base = fileURLToPath(new URL('../resources/demo/teacher', import.meta.url));
    const report = await compareServing({
      base,
      types: ['I2_S'],
      clients: [1, 3],
      seconds: 0.2,
      tokens: 5,
      threads: 1,
      peer: null,
      note: () => undefined,
    });
    expect(report.measured.map(({ kind, server }) => [kind, server])).toEqual([
      ['completions', 'Tritsmith'],
      ['classes', 'Tritsmith'],
    ]);
    for (const { kind, loads } of report.measured) {
      if (typeof loads === 'string') throw new Error(loads);
      expect(loads.map(({ clients }) => clients)).toEqual([1, 3]);
      for (const { requests, tokens, seconds, requestsPerSecond, latency, first } of loads) {
        expect(requests).toBeGreaterThanOrEqual(8);
        expect(requestsPerSecond).toBeCloseTo(requests / seconds, 9);
        expect(latency.high).toBeGreaterThanOrEqual(latency.median);
        expect(latency.high).toBeLessThanOrEqual(seconds);
        if (kind === 'classes') expect(first).toBeNull();
        else {
          expect(tokens).toBeLessThanOrEqual(5 * requests);
          expect(first!.median).toBeLessThanOrEqual(latency.median);
        }
      }
    }
    expect(servingPage(report)).toMatch(/\| I2_S, Tritsmith \| 3 \| [\d.]+ \| [\d.]+ \| \d+ \/ \d+ \| \d+ \/ \d+ \|/);
  },
);

it('takes quantiles that were seen', () => {
  const values = [5, 1, 4, 2, 3];
  expect([0, 0.5, 0.6, 0.61, 0.95, 1].map((share) => quantile(values, share))).toEqual([1, 3, 3, 4, 5, 5]);
});
