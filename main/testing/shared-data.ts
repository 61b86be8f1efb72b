/** Where tests find the public files of `../shared/data` (beside the repository); they skip where the folder is absent. */
import { existsSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../../../shared/data');

/** Path of a file below `shared/data`. */
export function sharedData(...parts: string[]): string {
  return path.join(root, ...parts);
}

/** Whether `shared/data` is there; says once that tests are skipped where not. */
export const hasSharedData = existsSync(root);
if (!hasSharedData) console.warn(`shared/data is absent (${root}): tests on real files are skipped.`);
