/** "It loses nothing", in small: some kills in a row. `npm run bench -- faults` goes on for hours. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { killMarathon } from './faults/kill-marathon.ts';

const killCount = 20;
const folder = mkdtempSync(join(tmpdir(), 'tritsmith-faults-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('experiments that are killed again and again', () => {
  it(`end with every file as in an undisturbed run, bit for bit, after ${killCount} kills of worker, workbench and both`, async () => {
    // Another seed on another day; it is printed with whatever fails.
    const seed = Number(process.env['TRITSMITH_SEED'] ?? Math.floor(Date.now() / 86_400_000));
    const result = await killMarathon(folder, killCount, seed);
    const { kills, faults, finished, seconds } = result;
    const of = (key: 'victim' | 'aim' | 'stage'): Map<string | null, number> => {
      const counts = new Map<string | null, number>();
      for (const kill of kills) counts.set(kill[key], (counts.get(kill[key]) ?? 0) + 1);
      return counts;
    };
    const text = (counts: Map<string | null, number>): string =>
      [...counts].map(([name, count]) => `${String(name)} ${count}`).join(', ');
    process.stdout.write(
      `seed ${seed}: ${kills.length} kills (${text(of('victim'))}; ${text(of('aim'))}; ${text(of('stage'))}), ${finished} experiments to their end, ${seconds.toFixed(0)} s\n`,
    );
    expect(faults, `seed ${seed}`).toEqual([]);
    expect(kills.length).toBe(killCount);
    expect(finished).toBeGreaterThanOrEqual(1);
    for (const victim of ['worker', 'workbench', 'both']) expect(of('victim').get(victim)).toBeGreaterThan(0);
    for (const aim of ['stage', 'checkpoint']) expect(of('aim').get(aim)).toBeGreaterThan(0);
    expect(of('stage').size).toBeGreaterThanOrEqual(4);
  }, 1_200_000);
});
