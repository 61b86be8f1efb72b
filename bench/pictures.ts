/** `npm run bench -- pictures [--workspace <folder>]`: the README's pictures of a finished demo, in both themes, and its table; without a workspace it runs the demo first. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Locator, Page } from 'playwright-core';
import { remove, root, serve, temporaryFolder, visit } from '../e2e/harness.ts';
import { forkPort } from '../main/jobs/fork-port.ts';
import { comparisonLines } from '../main/shell/cli/comparison-table.ts';
import { readComparison } from '../main/workbench/results/comparison.ts';
import { demoRecipe } from '../main/workbench/interface/demo.ts';
import { runExperiment } from '../main/workbench/experiments/run-experiment.ts';
import { openWorkspace } from '../main/workbench/workspace/workspace.ts';
import { updateReadme } from './results-page.ts';

const folder = join(root, 'docs', 'images');
const pageWidth = 1280;
const pageHeight = 880;

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { workspace: { type: 'string' }, experiment: { type: 'string', default: 'demo-1' } },
  });
  const temporary = values.workspace === undefined ? temporaryFolder() : null;
  try {
    if (temporary !== null) await runDemo(temporary);
    const workspace = values.workspace ?? temporary ?? '';
    await writeTable(workspace, values.experiment);
    await takePictures(workspace, values.experiment);
  } finally {
    if (temporary !== null) remove(temporary);
  }
}

async function runDemo(folder: string): Promise<void> {
  process.stderr.write('Running the demo (some minutes) ...\n');
  const workspace = await openWorkspace({ folder, mode: 'write', purpose: 'bench pictures' });
  const port = forkPort(fileURLToPath(new URL('../main/jobs/worker.ts', import.meta.url)));
  await runExperiment(workspace, await demoRecipe(port), { port });
  workspace.close();
}

async function writeTable(folder: string, experiment: string): Promise<void> {
  const workspace = await openWorkspace({ folder, mode: 'read', purpose: 'bench pictures' });
  const record = workspace.experiments.get(experiment);
  const comparison = readComparison(workspace, record);
  if (comparison === null) throw new Error(`${experiment} has no results yet.`);
  updateReadme('pictures', `\`\`\`\n${comparisonLines(comparison.rows, record.recipe.task.kind).trimEnd()}\n\`\`\``);
  workspace.close();
}

async function takePictures(workspace: string, experiment: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const workbench = await serve(workspace);
  const visitor = await visit(workbench.link, { width: pageWidth, height: pageHeight });
  const { page } = visitor;
  try {
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme });
      const take = async (name: string, what: Page | Locator): Promise<void> => {
        await what.screenshot({ path: join(folder, `${name}-${theme}.png`) });
        process.stderr.write(`docs/images/${name}-${theme}.png\n`);
      };
      await open(page, `${workbench.origin}/experiments/${experiment}`);
      await page.locator('figure canvas').first().waitFor();
      await take('run', page);
      await take('ternary-weights', page.locator('section.card', { hasText: 'Ternary weights' }).last());
      await open(page, `${workbench.origin}/experiments/${experiment}/results`);
      await page.getByTestId('comparison').waitFor();
      await take('results', page);
    }
  } finally {
    await visitor.close();
    await workbench.kill();
  }
}

async function open(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await page.locator('main h1').waitFor();
  await page.waitForLoadState('networkidle');
  // Charts are drawn in the next frames.
  await page.waitForTimeout(1500);
}
