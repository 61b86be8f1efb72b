/** A folder with a folder of text files for each class (`reviews/pos/1.txt`). */
import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { nothingToSet, type ReadingOptions } from '../../contract/table-reading.ts';
import type { Source } from './dataset.ts';
import { encodingOf, notInEncoding } from './text-encoding.ts';

const longestFile = 16 * 1024 * 1024;
const mostFiles = 2_000_000;

interface ClassFile {
  readonly label: string;
  readonly file: string;
}

const byCodeUnits = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

async function textFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.(txt|md)$/i.test(entry.name))
    .map(({ name }) => path.join(folder, name))
    .sort(byCodeUnits);
}

/** In a fixed order, the same on every machine. Linked folders are not entered. */
async function classFiles(folder: string): Promise<ClassFile[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const labels = entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort(byCodeUnits);
  const files: ClassFile[] = [];
  for (const label of labels) {
    for (const file of await textFiles(path.join(folder, label))) files.push({ label, file });
    if (files.length > mostFiles) throw new TritsmithError('bad-input', 'folder.too-many', { folder, most: mostFiles });
  }
  return files;
}

/**
 * Rows of two columns, `text` and `label`; a row is a file.
 * @throws TritsmithError `bad-input` for a folder without text in two folders at least
 */
export async function openClassFolders(folder: string, options: ReadingOptions): Promise<Source> {
  const files = await classFiles(folder);
  if (new Set(files.map(({ label }) => label)).size < 2)
    throw new TritsmithError('bad-input', 'folder.no-classes', { folder });
  return {
    format: 'folder',
    columns: ['text', 'label'],
    reading: { ...nothingToSet, encoding: options.encoding ?? null },
    async *rows(problems) {
      for (const [index, { label, file }] of files.entries()) {
        const row = index + 1;
        if ((await stat(file)).size > longestFile) {
          problems.add(row, 'too-long', `more than 16 MB; ${file} is left out`);
          continue;
        }
        const bytes = await readFile(file);
        const encoding = options.encoding ?? encodingOf(bytes).encoding;
        const text = new TextDecoder(encoding).decode(bytes);
        if (text.includes('\0')) {
          problems.add(row, 'nul', `a NUL character, which no text has; ${file} is left out`);
          continue;
        }
        if (text.includes('\ufffd')) problems.add(row, 'invalid-utf8', notInEncoding(encoding));
        yield { row, values: { text: text.replaceAll('\r\n', '\n'), label } };
      }
    },
  };
}
