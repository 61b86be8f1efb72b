/** A workspace with experiments that ended, made by the workbench itself over the counting worker, so that tables and charts have content at once. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExperimentRecord } from '../main/contract/experiments.ts';
import { studentModel } from '../main/contract/model-names.ts';
import type { Recipe } from '../main/contract/recipe.ts';
import type { ComparisonRow } from '../main/contract/results.ts';
import { writeExportList } from '../main/experiment/results.ts';
import { tokenizerFolder, writeTinyStudent, writeTinyTask } from '../main/pipeline/fixtures/tiny-student.ts';
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

/**
 * Runs "Colours", a classification into `classes`, in the workspace of `folder`. The counting worker leaves no model: a random student takes its place.
 * Returns id and folder of the experiment.
 */
export async function makeColours(
  folder: string,
  classes: readonly string[],
): Promise<{ readonly id: string; readonly home: string }> {
  const recipe = { ...sampleRecipe('counts', { steps: 20, teacher: tokenizerFolder }), name: 'Colours' };
  const workspace = await openWorkspace({ folder: join(folder, 'workspace'), mode: 'write', purpose: 'test' });
  const { id } = await runSample(workspace, { ...recipe, task: writeTinyTask(folder, classes) });
  const home = workspace.experimentFolder(id);
  workspace.close();
  await writeTinyStudent(join(home, 'exports'));
  const file = {
    path: join('exports', 'student.gguf'),
    type: 'i2_s',
    verified: true,
    bodyBytes: 1e6,
    fileBytes: 3e6,
  } as const;
  await writeExportList(home, [{ model: studentModel, ...file }]);
  return { id, home };
}
