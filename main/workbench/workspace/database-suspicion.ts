/** Damage that is met while the database is in use is noted beside it, so that the next start checks the whole file however large. */
import Database from 'better-sqlite3';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

const noteOf = (path: string): string => `${path}.suspect`;

export function isDamage(thrown: unknown): boolean {
  return thrown instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(thrown.code);
}

/** Notes it when `thrown` tells of damage to the file at `path`; anything else is none of its business. */
export function noteDamage(path: string, thrown: unknown): void {
  if (!isDamage(thrown)) return;
  try {
    writeFileSync(noteOf(path), '', { mode: 0o600 });
  } catch {
    // The damage itself is what the user hears of.
  }
}

export function isSuspect(path: string): boolean {
  return existsSync(noteOf(path));
}

export function clearSuspicion(path: string): void {
  rmSync(noteOf(path), { force: true });
}
