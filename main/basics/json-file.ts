/** Small JSON files of our own: checked when read, and when written either old or new, never half of one. */
import { readFileSync } from 'node:fs';
import type { ZodType } from 'zod';
import { TritsmithError } from '../contract/errors.ts';
import { writeTextAtomicallySync } from './atomic-file.ts';
import { parseBoundedJson } from './bounded-json.ts';

const deepest = 64;

/**
 * What `path` holds; null where there is no such file.
 * @param id what is said of a damaged one
 * @throws TritsmithError `damaged` where it is no JSON or has another shape, and errors of the file system
 */
export function readJson<T>(
  path: string,
  schema: ZodType<T>,
  id: 'json.damaged' | 'results.damaged' = 'json.damaged',
): T | null {
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
    throw new TritsmithError('damaged', id, { path, problem: (reason ?? message).slice(0, 300) });
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

/** `value` as JSON text, written like `writeTextAtomicallySync`. */
export function writeJsonAtomically(path: string, value: unknown): void {
  writeTextAtomicallySync(path, `${JSON.stringify(value, null, 2)}\n`);
}
