/** Bytes of text in a corpus file or folder, for estimates. */
import { stat } from 'node:fs/promises';
import { corpusFiles, type CorpusKind } from '../../formats/datasets/index.ts';

/** Bytes of text in a byte of a file, roughly: markup and fonts are no text, and packed text is shorter than it is. */
const textPerByte: Readonly<Record<CorpusKind, number>> = {
  text: 1,
  rows: 1,
  html: 0.4,
  pdf: 0.1,
  docx: 0.3,
  parquet: 2,
};
const textPerPackedByte = 3;

export async function corpusSize(corpus: string): Promise<number> {
  let total = 0;
  for (const { path, kind, gzip } of (await corpusFiles(corpus)).files)
    total += (await stat(path)).size * textPerByte[kind] * (gzip ? textPerPackedByte : 1);
  return Math.floor(total);
}
