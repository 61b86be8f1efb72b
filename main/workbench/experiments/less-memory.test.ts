import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRouterClient } from '@orpc/server';
import { describe, expect, it } from 'vitest';
import { TritsmithError } from '../../contract/errors.ts';
import { type LessMemory, lessMemoryOf, withLessMemory } from '../../contract/less-memory.ts';
import { reconstructSettings } from '../../contract/recipe.ts';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { openCountingApplication, writeCountedFiles } from '../fixtures/counting-application.ts';
import { workbenchRouter } from '../interface/procedures/router.ts';

describe('a recipe that needs less memory', () => {
  it('has half as many tokens at once, down to 64, then computes activations again, and then has moments in bytes', () => {
    let recipe = sampleRecipe('counts');
    const tokens: number[] = [];
    const changes: (LessMemory | null)[] = [];
    for (let turn = 0; turn < 8; turn += 1) {
      changes.push(lessMemoryOf(recipe));
      recipe = withLessMemory(recipe);
      tokens.push(recipe.distil.optimiser.microBatchTokens);
    }
    expect(tokens).toEqual([2048, 1024, 512, 256, 128, 64, 64, 64]);
    expect(changes).toEqual([...Array.from({ length: 6 }, () => 'half-the-tokens'), 'recompute', 'byte-moments']);
    expect(recipe.recomputeActivations).toBe(true);
    expect(recipe.distil.optimiser.moments).toBe('8-bit');
    expect(lessMemoryOf(recipe)).toBeNull();
    expect(withLessMemory(recipe)).toEqual(recipe);
    expect(recipe.distil.optimiser.batchSize).toBe(sampleRecipe('counts').distil.optimiser.batchSize);
  });
});

it('has fewer tokens at once, and moments in bytes, in a reconstruction too', () => {
  const optimiser = { ...sampleRecipe('counts').distil.optimiser, microBatchTokens: 100 };
  const reconstruct = reconstructSettings.parse({ optimiser });
  const distil = { ...sampleRecipe('counts').distil, optimiser: { ...optimiser, microBatchTokens: 64 } };
  const recipe = { ...sampleRecipe('counts'), reconstruct, distil };
  expect(lessMemoryOf(recipe)).toBe('half-the-tokens');
  const half = withLessMemory(recipe);
  expect(half.reconstruct!.optimiser.microBatchTokens).toBe(64);
  const spared = withLessMemory(withLessMemory(half));
  expect([spared.reconstruct, spared.distil].map((stage) => stage!.optimiser.moments)).toEqual(['8-bit', '8-bit']);
});

describe('an experiment that memory ended', () => {
  it('is resumed with it, and no other is', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'tritsmith-memory-'));
    const paths = writeCountedFiles(parent);
    const application = await openCountingApplication(join(parent, 'workspace'));
    const client = createRouterClient(workbenchRouter(), { context: { application } });
    const { experiments } = application.workspace;
    const { id } = (await application.queue.start(sampleRecipe('counts', { steps: 50_000, ...paths }))).record;
    application.queue.stop(id, 'cancel');
    await expect.poll(() => application.queue.running).toBeNull();
    await expect(client.experiments.resumeWithLessMemory({ id })).rejects.toThrow('did not run out of memory');
    experiments.setState(id, 'running');
    experiments.setState(
      id,
      'failed',
      new TritsmithError('out-of-memory', 'memory.ran-out', { reason: 'bad_alloc' }).serialise(),
    );
    const { record } = await client.experiments.resumeWithLessMemory({ id });
    expect(record.recipe.distil.optimiser.microBatchTokens).toBe(2048);
    expect(application.queue.running).toBe(id);
    expect(experiments.logs(id).at(-1)?.text).toContain('half as many tokens at once');

    const fail = async (): Promise<void> => {
      application.queue.stop(id, 'cancel');
      await expect.poll(() => application.queue.running).toBeNull();
      experiments.setState(id, 'running');
      experiments.setState(
        id,
        'failed',
        new TritsmithError('out-of-memory', 'memory.ran-out', { reason: 'bad_alloc' }).serialise(),
      );
    };
    await fail();
    let { recipe } = record;
    while (lessMemoryOf(recipe) === 'half-the-tokens') recipe = withLessMemory(recipe);
    experiments.setRecipe(id, recipe);
    expect((await client.experiments.resumeWithLessMemory({ id })).record.recipe).toEqual({
      ...recipe,
      recomputeActivations: true,
    });
    expect(experiments.logs(id).at(-1)?.text).toContain('goes on from its last checkpoint');
    await fail();
    const last = (await client.experiments.resumeWithLessMemory({ id })).record.recipe;
    expect(last.distil.optimiser).toEqual({ ...recipe.distil.optimiser, moments: '8-bit' });
    expect(experiments.logs(id).at(-1)?.text).toContain('moments in 8 bits');
    await fail();
    await expect(client.experiments.resumeWithLessMemory({ id })).rejects.toThrow('as little memory as it can');
    await application.close();
    rmSync(parent, { recursive: true, force: true });
  });
});
