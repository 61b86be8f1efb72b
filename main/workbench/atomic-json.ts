/** JSON files that are either old or new, never half written. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** Writes `value` beside `path`, flushes it to the disk and renames it into place. Mode 0600. */
export function writeJsonAtomically(path: string, value: unknown): void {
  const temporary = `${path}.${String(process.pid)}.new`;
  try {
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
