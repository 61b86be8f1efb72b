/** The demo that comes with the program: teacher, task and recipe. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TritsmithError } from '../../contract/errors.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { askWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { parseRecipe, withAbsolutePaths } from '../experiments/recipe-inputs.ts';

export const demoFolder = fileURLToPath(new URL('../../../resources/demo', import.meta.url));

export function demoIsThere(folder: string = demoFolder): boolean {
  return existsSync(join(folder, 'teacher', 'config.json')) && existsSync(join(folder, 'task', 'train.tsv'));
}

/** Where its teacher and its rows lie; null where they are missing. */
export function demoPaths(folder: string = demoFolder): { teacher: string; train: string; dev: string } | null {
  if (!demoIsThere(folder)) return null;
  const task = join(folder, 'task');
  return { teacher: join(folder, 'teacher'), train: join(task, 'train.tsv'), dev: join(task, 'dev.tsv') };
}

/** The recipe of `recipe.json` in the demo's folder, its paths made absolute; where that file lacks, the preset "quick". */
export async function demoRecipe(port: SpawnPort, folder: string = demoFolder): Promise<Recipe> {
  if (!demoIsThere(folder)) throw new TritsmithError('not-found', 'demo.missing');
  const path = join(folder, 'recipe.json');
  if (existsSync(path)) return withAbsolutePaths(parseRecipe(JSON.parse(readFileSync(path, 'utf8'))), resolve(folder));
  return askWorker(port, {
    type: 'make-recipe',
    inputs: {
      preset: 'quick',
      name: 'Demo: support tickets',
      teacher: join(folder, 'teacher'),
      task: {
        kind: 'classification',
        train: join(folder, 'task', 'train.tsv'),
        dev: join(folder, 'task', 'dev.tsv'),
        textColumns: ['text'],
        labelColumn: 'queue',
      },
    },
  });
}
