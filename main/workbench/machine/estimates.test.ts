import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sumOf } from '../../contract/quantities.ts';
import { message, render } from '../../contract/messages/message.ts';
import type { RecipeForecast } from '../../contract/estimates.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { makeTinyExperiment } from '../../pipeline/fixtures/tiny-experiment.ts';
import { estimate, knownTaskSize, rehearse } from './estimates.ts';
import { examine } from './doctor.ts';

const workers = forkPort(fileURLToPath(new URL('../../jobs/worker.ts', import.meta.url)));
let processes = 0;
const port: SpawnPort = {
  spawn: () => {
    processes += 1;
    return workers.spawn();
  },
};
let folder: string;
let recipe: Recipe;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-estimates-'));
  recipe = await makeTinyExperiment(folder);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the machine check', () => {
  it('asks one worker, and none for what was asked before; other settings need no rows read again', async () => {
    expect(await knownTaskSize(recipe)).toBeNull();
    const found = await estimate(port, recipe, folder);
    expect(processes).toBe(1);
    expect((await estimate(port, { ...recipe, name: 'other' }, folder)).forecast).toEqual(found.forecast);
    expect(processes).toBe(1);
    const size = await knownTaskSize({ ...recipe, baseline: false });
    expect(size).toEqual(found.forecast.size);
    const shorter = await estimate(port, { ...recipe, baseline: false }, folder);
    expect(processes).toBe(2);
    expect(shorter.disk.needed).toBeLessThan(found.disk.needed);
    expect(shorter.time.high).toBeLessThan(found.time.high);
  });

  it('reads rows again that have changed', async () => {
    const before = (await knownTaskSize(recipe))!;
    appendFileSync(recipe.task.train, 'my parcel is late\tdelivery\n');
    expect(await knownTaskSize(recipe)).toBeNull();
    const { forecast } = await estimate(port, recipe, folder);
    expect(forecast.size.rows).toBe(before.rows + 1);
  });

  it('needs what its terms add up to, and says so', async () => {
    const found = await estimate(port, recipe, folder);
    expect(found.memory.needed).toBe(sumOf(found.memory.terms));
    expect(found.disk.needed).toBe(sumOf(found.disk.terms));
    // Of the checkpoints, which go with their stage, the largest stage's alone.
    const all = found.forecast.stages.flatMap(({ disk }) => disk).filter(({ id }) => id === 'checkpoint-files');
    const counted = found.disk.terms.filter(({ id }) => id === 'checkpoint-files');
    expect(all.length).toBeGreaterThan(1);
    expect(counted.map(({ bytes }) => bytes)).toEqual([Math.max(...all.map(({ bytes }) => bytes))]);
    expect(found.memory.stage).toBe('distil');
    // A card holds neither moments nor the engine, and ternary weights in a byte.
    const { trained, ternary, engine } = Object.fromEntries(
      found.memory.terms.map((each) => [each.id, each]),
    ) as Record<string, { bytes: number; params: { parameters: number } }>;
    const others = found.memory.needed - trained!.bytes - ternary!.bytes - engine!.bytes;
    expect(found.cardBytes).toBe(others + 8 * trained!.params.parameters - 3 * ternary!.params.parameters);
    expect(render(message('estimate.memory', found.memory)).message).toMatch(
      /^Most memory is taken by Stage 3: .* Together [\d.]+ MB\.$/,
    );
    expect(render(message('estimate.disk', found.disk)).message).toMatch(
      /^model folders: .* checkpoints .* 2 of .* exports: .* Together [\d.]+ MB\.$/,
    );
    expect(timeText(found.forecast)).toContain('BitNet-SFT 18 steps');
  });

  it('measures a rehearsal', async () => {
    const found = await rehearse(port, recipe, folder);
    expect(found.forecast.basis.measured).toMatchObject({ steps: 20 });
    expect(timeText(found.forecast)).toMatch(/^20 steps took [\d.]+ s each here, [\d,]+ tokens\/s/);
  });
});

const timeText = (forecast: RecipeForecast): string => render(message('estimate.time', forecast)).message;

describe('the doctor', () => {
  it('promises nothing that the engine has not, and speaks of the checkpoints that there are', async () => {
    const { findings } = await examine(port, folder);
    const of = (id: string) => render(findings.find((finding) => finding.id === id)!).reason;
    expect(of('machine.providers')).toBe('Training runs on cpu; the engine uses no other provider.');
    expect(of('machine.memory')).toMatch(/Qwen3-[\d.]+B.* Most of it: .*, [\d.]+ GB\.$/);
    expect(of('machine.disk')).toMatch(
      /a run of Qwen3-0\.6B with every stage takes [\d.]+ GB for models and checkpoints\.$/,
    );
    const before = processes;
    await examine(port, folder);
    // The engine is looked at again; what published models take does not change.
    expect(processes).toBe(before + 1);
  });
});
