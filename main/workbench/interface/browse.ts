/** What a picker shows: folders, data files and GGUF files, without what begins with a dot. */
import { readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { DirectoryListing } from '../../contract/views.ts';
import { isModelFolder } from '../../basics/hub-cache.ts';

const mostEntries = 500;
const usableFile = /\.(csv|tsv|jsonl|ndjson|json|parquet|xlsx|xlsm|ods|sqlite|sqlite3|db|txt|md|gz|gguf)$/i;

/** Lists `folder`. Throws `not-found`, `not-writable` (no permission) or `bad-input` (no folder). */
export function browse(folder: string): DirectoryListing {
  const absolute = resolve(folder);
  let names: string[];
  try {
    if (!statSync(absolute).isDirectory())
      throw new TritsmithError('bad-input', 'path.not-a-folder', { path: absolute });
    names = readdirSync(absolute);
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  const all = names
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => describe(join(absolute, name), name))
    .sort((a, b) => Number(b.folder) - Number(a.folder) || a.name.localeCompare(b.name));
  const parent = dirname(absolute);
  return {
    folder: absolute,
    parent: parent === absolute ? null : parent,
    entries: all.slice(0, mostEntries),
    model: isModelFolder(absolute),
    more: Math.max(0, all.length - mostEntries),
  };
}

function describe(path: string, name: string): DirectoryListing['entries'] {
  try {
    const facts = statSync(path);
    if (facts.isDirectory()) return [{ name, path, folder: true, bytes: null }];
    return facts.isFile() && usableFile.test(name) ? [{ name, path, folder: false, bytes: facts.size }] : [];
  } catch {
    return [];
  }
}
