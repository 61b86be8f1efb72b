/** A workspace with experiments that ended, made by the workbench itself over the counting worker, so that tables and charts have content at once. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExperimentRecord } from '../main/contract/experiments.ts';
import type { Recipe } from '../main/contract/recipe.ts';
import type { ComparisonRow } from '../main/contract/results.ts';
import { forkPort } from '../main/jobs/fork-port.ts';
import { sampleRecipe } from '../main/jobs/fixtures/sample-recipe.ts';
import { runExperiment } from '../main/workbench/experiments/run-experiment.ts';
import { openWorkspace, type Workspace } from '../main/workbench/workspace/workspace.ts';

const demo = fileURLToPath(new URL('../resources/demo', import.meta.url));

export interface Sample {
  readonly name: string;
  readonly steps: number;
  /** Share of right answers and file size of the student. */
  readonly accuracy: number;
  readonly fileBytes: number;
  readonly lambda?: number;
}

/** Runs an experiment over the counting worker. */
export function runSample(workspace: Workspace, recipe: Recipe): Promise<ExperimentRecord> {
  const port = forkPort(fileURLToPath(new URL('../main/jobs/fixtures/counting-worker.ts', import.meta.url)));
  return runExperiment(workspace, recipe, { port });
}

/** Returns the experiments' ids in the order of `samples`. */
export async function makeSampleWorkspace(folder: string, samples: readonly Sample[]): Promise<string[]> {
  const workspace = await openWorkspace({ folder, mode: 'write', purpose: 'test' });
  const ids: string[] = [];
  for (const { name, steps, accuracy, fileBytes, lambda } of samples) {
    const recipe = sampleRecipe('counts', {
      steps,
      teacher: join(demo, 'teacher'),
      train: join(demo, 'task', 'train.tsv'),
    });
    const { id } = await runSample(workspace, {
      ...recipe,
      name,
      distil: { ...recipe.distil, lambda: lambda ?? recipe.distil.lambda },
    });
    const path = join(workspace.experimentFolder(id), 'comparison.json');
    const found = JSON.parse(readFileSync(path, 'utf8')) as { rows: ComparisonRow[] };
    const ci95 = [accuracy - 0.01, accuracy + 0.01];
    for (const row of found.rows) if (row.name === 'bitdistill') Object.assign(row, { accuracy, ci95, fileBytes });
    writeFileSync(path, JSON.stringify(found));
    ids.push(id);
  }
  workspace.close();
  return ids;
}
