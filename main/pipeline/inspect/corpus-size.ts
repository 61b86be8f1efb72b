/** Bytes of text in a corpus file or folder, for estimates. */
import { stat } from 'node:fs/promises';
import { corpusFiles } from '../../formats/datasets/index.ts';

export async function corpusSize(corpus: string): Promise<number> {
  let total = 0;
  for (const path of await corpusFiles(corpus)) total += (await stat(path)).size;
  return total;
}
