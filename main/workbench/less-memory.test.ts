import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRouterClient } from '@orpc/server';
import { describe, expect, it } from 'vitest';
import { TritsmithError } from '../contract/errors.ts';
import { sampleRecipe } from '../jobs/fixtures/sample-recipe.ts';
import { forkPort } from '../jobs/fork-port.ts';
import { openApplication } from './application.ts';
import { withLessMemory } from './less-memory.ts';
import { workbenchRouter } from './procedures/router.ts';

describe('a recipe that needs less memory', () => {
  it('has half as many tokens at once, down to 64, and then computes activations again', () => {
    let recipe = sampleRecipe('counts');
    const tokens: number[] = [];
    for (let turn = 0; turn < 7; turn += 1) {
      recipe = withLessMemory(recipe);
      tokens.push(recipe.distil.optimiser.microBatchTokens);
    }
    expect(tokens).toEqual([2048, 1024, 512, 256, 128, 64, 64]);
    expect(recipe.recomputeActivations).toBe(true);
    expect(recipe.distil.optimiser.batchSize).toBe(sampleRecipe('counts').distil.optimiser.batchSize);
  });
});

describe('an experiment that memory ended', () => {
  it('is resumed with it, and no other is', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'tritsmith-memory-'));
    mkdirSync(join(parent, 'teacher'));
    writeFileSync(join(parent, 'teacher', 'config.json'), '{}');
    writeFileSync(join(parent, 'train.tsv'), 'text\tlabel\na\t1\n');
    const port = forkPort(fileURLToPath(new URL('../jobs/fixtures/counting-worker.ts', import.meta.url)));
    const options = {
      folder: join(parent, 'workspace'),
      shell: 'browser',
      paths: { kind: 'sender-is-user' },
      jobs: port,
      runtime: port,
    } as const;
    const application = await openApplication(options);
    const client = createRouterClient(workbenchRouter(), { context: { application } });
    const { experiments } = application.workspace;
    const paths = { teacher: join(parent, 'teacher'), train: join(parent, 'train.tsv') };
    const { id } = (await application.queue.start(sampleRecipe('counts', { steps: 50_000, ...paths }))).record;
    application.queue.stop(id, 'cancel');
    await expect.poll(() => application.queue.running, { timeout: 30_000 }).toBeNull();
    await expect(client.experiments.resumeWithLessMemory({ id })).rejects.toThrow('did not run out of memory');
    experiments.setState(id, 'running');
    experiments.setState(id, 'failed', new TritsmithError('out-of-memory', 'The memory ran out.').serialise());
    const { record } = await client.experiments.resumeWithLessMemory({ id });
    expect(record.recipe.distil.optimiser.microBatchTokens).toBe(2048);
    expect(application.queue.running).toBe(id);
    expect(experiments.logs(id).at(-1)?.text).toContain('half as many tokens at once');
    await application.close();
    rmSync(parent, { recursive: true, force: true });
  });
});
