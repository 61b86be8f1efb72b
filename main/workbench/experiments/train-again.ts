/** The recipe of an experiment with further rows: what is trained when a student has grown old. */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { ReadingOptions } from '../../contract/table-reading.ts';
import { askWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { parseRecipe } from './recipe-inputs.ts';

export interface TrainAgain {
  readonly recipe: Recipe;
  /** Rows of the former file, and how many came to them. */
  readonly former: number;
  readonly added: number;
}

/** Days that rows without an experiment are kept: a recipe that was printed may still be run. */
const keptDays = 7;

const dataFolder = ({ paths }: Workspace): string => join(paths.folder, 'data');

/** Deletes written rows that belong to no experiment: of runs that were not begun, and of experiments that were deleted. */
export function sweepAddedRows(workspace: Workspace): void {
  const folder = dataFolder(workspace);
  // What could not be read back may be an experiment that needs its rows.
  if (workspace.notices.length > 0 || !existsSync(folder)) return;
  const files = workspace.database
    .prepare<[], string>(`SELECT json_extract(recipe, '$.task.train') FROM experiments`)
    .pluck()
    .all();
  // By name, so that a workspace that was moved keeps them.
  const used = new Set(files.map((file) => basename(dirname(file))));
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const days = (Date.now() - statSync(path).mtimeMs) / 86_400_000;
    if (!used.has(name) && days > keptDays) rmSync(path, { recursive: true, force: true });
  }
}

/**
 * Writes the rows of the experiment's training file and of `file` into one file of the workspace, and gives the same recipe on it. Evaluation rows of a
 * file of their own stay the same; otherwise they are drawn anew, the added ones among them.
 * @throws TritsmithError as `addRows`; nothing is left then
 */
export async function trainAgain(
  workspace: Workspace,
  record: ExperimentRecord,
  file: string,
  port: SpawnPort,
  howRead: { readonly reading?: ReadingOptions } = {},
): Promise<TrainAgain> {
  const { task } = record.recipe;
  const folder = join(dataFolder(workspace), `${record.id}-${randomBytes(4).toString('hex')}`);
  await mkdir(folder, { recursive: true });
  try {
    const target = join(folder, `${basename(file, extname(file))}-added.jsonl`);
    const devTarget = task.dev === undefined || task.reading === undefined ? null : join(folder, 'evaluation.jsonl');
    const counts = await askWorker(port, { type: 'add-rows', request: { task, file, ...howRead, target, devTarget } });
    // How the former files are read is not how these are: JSON Lines needs nothing said.
    const kept = Object.fromEntries(Object.entries(task).filter(([field]) => field !== 'reading'));
    const dev = devTarget === null ? {} : { dev: devTarget };
    return { recipe: parseRecipe({ ...record.recipe, task: { ...kept, ...dev, train: target } }), ...counts };
  } catch (thrown) {
    await rm(folder, { recursive: true, force: true });
    throw thrown;
  }
}
