/** An experiment that ran out of memory is resumed by the button that mends it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { TritsmithError } from '../main/contract/errors.ts';
import type { Recipe } from '../main/contract/recipe.ts';
import { forkPort } from '../main/jobs/fork-port.ts';
import { demoRecipe } from '../main/workbench/interface/demo.ts';
import { writeExperimentFile } from '../main/experiment/record.ts';
import { createExperiment } from '../main/workbench/experiments/run-experiment.ts';
import { openWorkspace } from '../main/workbench/workspace/workspace.ts';
import { findViolations } from './accessibility.ts';
import { screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const scene = openScene({
  prepare: async (folder) => {
    const workspace = await openWorkspace({ folder: join(folder, 'workspace'), mode: 'write', purpose: 'test' });
    const port = forkPort(fileURLToPath(new URL('../main/jobs/worker.ts', import.meta.url)));
    const { id } = await createExperiment(workspace, await demoRecipe(port), port);
    const { experiments } = workspace;
    const error = new TritsmithError('out-of-memory', 'memory.ran-out', { reason: 'bad_alloc' });
    experiments.setState(id, 'running');
    experiments.setState(id, 'failed', error.serialise());
    writeExperimentFile(workspace.experimentFolder(id), experiments.get(id));
    workspace.close();
  },
});
const recipe = (): Recipe =>
  (
    JSON.parse(readFileSync(join(scene.workspace, 'experiments', 'demo-1', 'experiment.json'), 'utf8')) as {
      recipe: Recipe;
    }
  ).recipe;

describeInBrowser('an experiment that ran out of memory', () => {
  it('says so, and its button resumes it with half the tokens at once', async () => {
    const { page } = scene;
    const before = recipe().distil.optimiser.microBatchTokens;
    await page.goto(`${scene.origin}/experiments/demo-1`);
    await page.getByRole('heading', { name: 'It stopped with an error' }).waitFor();
    await page.getByText('The memory ran out.').waitFor();
    expect(await findViolations(page)).toEqual([]);
    await screenshot(page, 'run-out-of-memory');
    await page.getByRole('button', { name: 'Resume with half the tokens at once' }).click();
    await page.locator('.badge', { hasText: 'Running' }).first().waitFor();
    expect(recipe().distil.optimiser.microBatchTokens).toBe(before / 2);
    await page.getByText('half as many tokens at once', { exact: false }).waitFor();
    expect(scene.allComplaints()).toEqual([]);
  });
});
