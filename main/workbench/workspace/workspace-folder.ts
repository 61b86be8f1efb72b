/** Where a workspace lies and what is in it. */
import { randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
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
  /** Room that is given up when the disk is full, so that the workbench opens even then, and things can be removed in it. */
  readonly reserve: string;
}

/** As much as SQLite's log takes. */
const reserveBytes = 4 * 1024 * 1024;
/** Where less is free, people are told that the disk is full, and no reserve is made. */
export const scarceBytes = 8 * reserveBytes;

export function workspacePaths(folder: string): WorkspacePaths {
  const absolute = resolve(folder);
  return {
    folder: absolute,
    database: join(absolute, 'workbench.sqlite'),
    lock: join(absolute, 'workbench.lock'),
    experiments: join(absolute, 'experiments'),
    teachers: join(absolute, 'teachers.json'),
    reserve: join(absolute, 'room-for-a-full-disk'),
  };
}

/** Bytes that may still be written to the disk of `folder`. */
export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Makes the reserve where there is none and the disk has plenty of room. Its bytes are random, because some file systems keep others in no room at all. */
export function keepReserve({ folder, reserve }: WorkspacePaths): void {
  if (existsSync(reserve) || freeBytes(folder) < scarceBytes) return;
  try {
    writeFileSync(reserve, randomBytes(reserveBytes), { mode: 0o600 });
  } catch {
    rmSync(reserve, { force: true });
  }
}

/** Gives the reserve up; whether there was one. */
export function giveUpReserve({ reserve }: WorkspacePaths): boolean {
  if (!existsSync(reserve)) return false;
  rmSync(reserve, { force: true });
  return true;
}

/**
 * Creates what is missing (mode 0700: recipes and data are nobody else's business) and proves that it can be written to. On a full disk the reserve is given up
 * for that.
 */
export function prepareWorkspace(folder: string): WorkspacePaths {
  const paths = workspacePaths(folder);
  const probe = join(paths.folder, `.write-probe-${String(process.pid)}`);
  try {
    makeFolder(paths.experiments);
    accessSync(paths.folder, constants.R_OK | constants.W_OK | constants.X_OK);
    if (freeBytes(paths.folder) < reserveBytes) giveUpReserve(paths);
    writeFileSync(probe, 'x');
    rmSync(probe);
    return paths;
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      // A quota shows only here.
      if (giveUpReserve(paths)) return prepareWorkspace(folder);
      throw TritsmithError.from(thrown);
    }
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
