/** Small files that are either old or new, never half written. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { noSpace } from '../../contract/errors.ts';

/** `value` as JSON text, written like `writeTextAtomically`. */
export function writeJsonAtomically(path: string, value: unknown): void {
  writeTextAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Writes beside `path`, flushes to the disk and renames into place. Mode 0600. @throws TritsmithError `no-space`, and errors of the file system */
export function writeTextAtomically(path: string, text: string): void {
  const temporary = `${path}.${String(process.pid)}.new`;
  try {
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (thrown) {
    rmSync(temporary, { force: true });
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
    const { bavail, bsize } = statfsSync(dirname(path));
    throw noSpace(path, { needed: text.length, free: bavail * bsize });
  }
}
