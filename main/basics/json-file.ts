/** Small JSON files of our own: checked when read, and when written either old or new, never half of one. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ZodType } from 'zod';
import { noSpace, TritsmithError } from '../contract/errors.ts';
import { parseBoundedJson } from './bounded-json.ts';

const deepest = 64;

/**
 * What `path` holds; null where there is no such file.
 * @throws TritsmithError `damaged` with `remedy` where it is no JSON or has another shape, and errors of the file system
 */
export function readJson<T>(path: string, schema: ZodType<T>, remedy = 'Mend the file, or remove it.'): T | null {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw TritsmithError.from(thrown);
  }
  try {
    return schema.parse(parseBoundedJson(bytes, path, deepest));
  } catch (thrown) {
    const { message, reason } = TritsmithError.from(thrown);
    throw new TritsmithError('damaged', `${path} cannot be read.`, {
      reason: (reason ?? message).slice(0, 300),
      remedy,
    });
  }
}

/** What `path` holds; null where there is no such file or it cannot be read. For what is not worth an error. */
export function readJsonIfWhole<T>(path: string, schema: ZodType<T>): T | null {
  try {
    return readJson(path, schema);
  } catch {
    return null;
  }
}

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
