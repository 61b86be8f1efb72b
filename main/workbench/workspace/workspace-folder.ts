/** Where a workspace lies and what is in it. */
import { accessSync, constants, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { userDataFolder } from '../../contract/data-folder.ts';
import { TritsmithError } from '../../contract/errors.ts';

/** The user's data folder by the custom of the system. */
export const defaultWorkspaceFolder = userDataFolder;

export interface WorkspacePaths {
  readonly folder: string;
  readonly database: string;
  readonly lock: string;
  readonly experiments: string;
  /** The teachers of the library once more, beside the database. */
  readonly teachers: string;
}

export function workspacePaths(folder: string): WorkspacePaths {
  const absolute = resolve(folder);
  return {
    folder: absolute,
    database: join(absolute, 'workbench.sqlite'),
    lock: join(absolute, 'workbench.lock'),
    experiments: join(absolute, 'experiments'),
    teachers: join(absolute, 'teachers.json'),
  };
}

/** Creates what is missing (mode 0700: recipes and data are nobody else's business) and proves that it can be written to. */
export function prepareWorkspace(folder: string): WorkspacePaths {
  const paths = workspacePaths(folder);
  const probe = join(paths.folder, `.write-probe-${String(process.pid)}`);
  try {
    makeFolder(paths.experiments);
    accessSync(paths.folder, constants.R_OK | constants.W_OK | constants.X_OK);
    writeFileSync(probe, 'x');
    rmSync(probe);
    return paths;
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw TritsmithError.from(thrown);
    throw new TritsmithError('not-writable', 'workspace.not-writable', { folder: paths.folder, problem: thrown instanceof Error ? thrown.message : String(thrown) });
  }
}

/** Makes a folder and its parents. (Node's own `recursive` never returns on a file system that answers ENOENT, such as /proc.) */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
