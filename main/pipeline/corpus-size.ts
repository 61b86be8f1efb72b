/** Bytes of text in a corpus file or folder, for estimates. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export async function corpusSize(path: string): Promise<number> {
  const info = await stat(path);
  if (!info.isDirectory()) return info.size;
  let total = 0;
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory() || /\.(txt|jsonl|json|md)$/i.test(entry.name))
      total += await corpusSize(join(path, entry.name));
  return total;
}
