/** The workspace's SQLite file: opened, checked, brought to the newest schema, kept aside when it is damaged. */
import Database from 'better-sqlite3';
import { existsSync, readFileSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { noSpace, TritsmithError } from '../../contract/errors.ts';
import { clearSuspicion, isDamage, isSuspect } from './database-suspicion.ts';
import { freeBytes } from './workspace-folder.ts';

export type Sqlite = Database.Database;

const migrationsFolder = join(dirname(fileURLToPath(import.meta.url)), 'migrations');
/** Above this size the whole-file check runs only after a crash, or when damage was met. */
const checkedBytes = 64 * 1024 * 1024;
/** How much the database may grow before it gives space back: SQLite's log holds a thousand pages. */
const writtenAtOnce = 4 * 1024 * 1024;

export interface OpenedDatabase {
  readonly database: Sqlite;
  /** Where the damaged file went, when it was one. */
  readonly keptAside: string | null;
  /** Where the file lies as an older version of the program left it, when it was brought to the newest schema. */
  readonly keptBefore: string | null;
}

/** Opens for writing (WAL, foreign keys), creating and migrating as needed. `afterCrash`: check the whole file whatever its size. */
export function openDatabase(path: string, afterCrash = false): OpenedDatabase {
  try {
    return { ...openChecked(path, afterCrash), keptAside: null };
  } catch (thrown) {
    if (!isDamage(thrown)) throw databaseError(thrown);
  }
  const keptAside = keepAside(path);
  clearSuspicion(path);
  try {
    return { ...openChecked(path, false), keptAside };
  } catch (thrown) {
    throw databaseError(thrown);
  }
}

/** Opens for reading beside a workbench that writes. */
export function openDatabaseReadOnly(path: string): Sqlite {
  try {
    const database = new Database(path, { readonly: true, fileMustExist: true, timeout: 5000 });
    const version = schemaVersion(database);
    if (version === migrations().length) return database;
    database.close();
    throw new TritsmithError('locked', 'workspace.other-version');
  } catch (thrown) {
    throw databaseError(thrown);
  }
}

/** SQLite's errors in the project's terms; everything else as TritsmithError.from has it. `path`: the database, where it is known. */
export function databaseError(thrown: unknown, path?: string): TritsmithError {
  if (!(thrown instanceof Database.SqliteError)) return TritsmithError.from(thrown);
  const problem = `${thrown.message} (${thrown.code})`;
  const details = thrown.stack ?? thrown.message;
  if (thrown.code === 'SQLITE_FULL')
    return noSpace(path, {
      reason: problem,
      details,
      ...(path === undefined ? {} : { needed: writtenAtOnce, free: freeBytes(dirname(path)) }),
    });
  if (isDamage(thrown))
    return new TritsmithError('damaged', 'database.damaged', { problem }, { details });
  if (/^SQLITE_(READONLY|CANTOPEN|PERM|AUTH)/.test(thrown.code))
    return new TritsmithError('not-writable', 'database.not-writable', { problem }, { details });
  return new TritsmithError('internal', 'database.failed', { problem }, { details });
}

function openChecked(path: string, afterCrash: boolean): Pick<OpenedDatabase, 'database' | 'keptBefore'> {
  const database = new Database(path, { timeout: 5000 });
  try {
    const bytes = existsSync(path) ? statSync(path).size : 0;
    if (bytes > 0 && (afterCrash || isSuspect(path) || bytes <= checkedBytes)) check(database);
    clearSuspicion(path);
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = NORMAL');
    database.pragma('foreign_keys = ON');
    return { database, keptBefore: migrate(database, path) };
  } catch (error) {
    database.close();
    throw error;
  }
}

function check(database: Sqlite): void {
  const result = database.pragma('quick_check(1)', { simple: true });
  if (result !== 'ok') throw new Database.SqliteError(String(result), 'SQLITE_CORRUPT');
}

function schemaVersion(database: Sqlite): number {
  return database.pragma('user_version', { simple: true }) as number;
}

function migrations(): string[] {
  return readdirSync(migrationsFolder)
    .filter((name) => /^\d{4}-.*\.sql$/.test(name))
    .sort()
    .map((name) => readFileSync(join(migrationsFolder, name), 'utf8'));
}

/**
 * Runs the migrations that the file has not seen, each in a transaction of its own together with its number. An older file is copied first; returns
 * the copy's path.
 */
function migrate(database: Sqlite, path: string): string | null {
  const known = migrations();
  const version = schemaVersion(database);
  if (version > known.length)
    throw new TritsmithError('unsupported', 'workspace.newer', { version, known: known.length });
  const keptBefore = version > 0 && version < known.length ? copyBefore(database, path, version) : null;
  for (const [index, sql] of known.entries()) {
    if (index < version) continue;
    database.transaction(() => {
      database.exec(sql);
      database.pragma(`user_version = ${String(index + 1)}`);
    })();
  }
  return keptBefore;
}

/** Writes a copy that its version of the program can open. */
function copyBefore(database: Sqlite, path: string, version: number): string {
  const copy = `${path}.version-${String(version)}-${stamp()}`;
  database.prepare('VACUUM INTO ?').run(copy);
  return copy;
}

const stamp = (): string => new Date().toISOString().replaceAll(/[:.]/g, '-');

/** Renames the file and its WAL companions, never deletes them. Returns the new name. */
function keepAside(path: string): string {
  const aside = `${path}.damaged-${stamp()}`;
  for (const tail of ['', '-wal', '-shm']) if (existsSync(path + tail)) renameSync(path + tail, aside + tail);
  return aside;
}
