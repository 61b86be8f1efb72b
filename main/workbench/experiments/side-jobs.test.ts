import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { openCountingApplication, writeCountedFiles } from '../fixtures/counting-application.ts';
import type { Application } from '../interface/application.ts';

let parent: string;
let application: Application;

beforeEach(async () => {
  parent = mkdtempSync(join(tmpdir(), 'tritsmith-side-'));
  application = await openCountingApplication(join(parent, 'workspace'));
});
afterEach(async () => {
  await application.close();
  rmSync(parent, { recursive: true, force: true });
});

/** The id of an experiment that is done. */
async function finished(name: string): Promise<string> {
  const paths = writeCountedFiles(parent);
  const { id } = (await application.queue.start(sampleRecipe(name, { steps: 3, ...paths }))).record;
  await expect.poll(() => application.workspace.experiments.get(id).state, { timeout: 60_000 }).toBe('done');
  return id;
}

async function ended(id: string): Promise<void> {
  await expect.poll(() => application.sideJobs.get(id)?.state, { timeout: 60_000 }).not.toBe('running');
}

describe('a job beside the stages of a finished experiment', () => {
  it('fails where the 4-bit teacher could not be compared, with what was in the way, and the experiment stays done', async () => {
    const id = await finished('lacks-llama');
    application.sideJobs.start(id, { kind: 'four-bit' });
    await ended(id);
    expect(application.sideJobs.get(id)).toMatchObject({
      state: 'failed',
      problem: { code: 'not-found', id: 'four-bit.no-llama-cpp' },
    });
    expect(application.workspace.experiments.get(id).state).toBe('done');
  });

  it('ends well where it was compared, and where one more file was exported', async () => {
    const id = await finished('counts');
    application.sideJobs.start(id, { kind: 'four-bit' });
    await ended(id);
    expect(application.sideJobs.get(id)).toMatchObject({ state: 'done', problem: null });
    application.sideJobs.start(id, { kind: 'export', settings: { type: 'tq2_0', embedding: 'f16' } });
    await ended(id);
    expect(application.sideJobs.get(id)).toMatchObject({ state: 'done', problem: null });
    expect(application.workspace.experiments.get(id).recipe.exports.at(-1)?.type).toBe('tq2_0');
  });
});
