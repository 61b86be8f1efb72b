/** The files of a corpus: which of them hold text, by their names and by how they begin. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { beginning, startsWith } from './beginning.ts';
import { utf16 } from './text-encoding.ts';

export type CorpusKind = 'text' | 'rows' | 'html' | 'pdf' | 'docx' | 'parquet';

export interface CorpusFile {
  readonly path: string;
  readonly kind: CorpusKind;
  readonly gzip: boolean;
}

const kinds: Readonly<Record<string, CorpusKind>> = {
  '.txt': 'text',
  '.text': 'text',
  '.md': 'text',
  '.markdown': 'text',
  '.jsonl': 'rows',
  '.ndjson': 'rows',
  '.html': 'html',
  '.htm': 'html',
  '.xhtml': 'html',
  '.pdf': 'pdf',
  '.docx': 'docx',
  '.parquet': 'parquet',
};

/** Kind of a file by its name; null for names that say nothing of text. A compressed Parquet file is none: it can't be read in pieces. */
function byName(file: string): CorpusFile | null {
  const gzip = /\.gz$/i.test(file);
  const kind = kinds[path.extname(gzip ? file.slice(0, -3) : file).toLowerCase()];
  return kind === undefined || (gzip && kind === 'parquet') ? null : { path: file, kind, gzip };
}

/** What a name ends with, for counting: `.zip`, `.csv.gz`, or the whole name where it has no end. */
const ending = (file: string): string =>
  (/(\.\w+)?\.\w+$/.exec(/\.gz$/i.test(file) ? file : path.extname(file))?.[0] ?? path.basename(file)).toLowerCase();

export interface CorpusFiles {
  /** Sorted by path (by code units, the same on every machine); of a single file that file. */
  readonly files: readonly CorpusFile[];
  /** Files of a folder that are not read: how many of each ending, and the first few. */
  readonly leftOut: readonly {
    readonly ending: string;
    readonly files: number;
    readonly examples: readonly string[];
  }[];
}

const shownExamples = 3;

/**
 * The file itself, or every file of a known kind below the folder. Linked folders are not entered.
 * @throws TritsmithError `not-found`, `bad-input` (a folder without such files), `unsupported` (a single file of another kind)
 */
export async function corpusFiles(corpus: string): Promise<CorpusFiles> {
  try {
    if (!(await stat(corpus)).isDirectory()) return { files: [await singleFile(corpus)], leftOut: [] };
    const entries = await readdir(corpus, { recursive: true, withFileTypes: true });
    const names = entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => path.relative(corpus, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
      .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const files: CorpusFile[] = [];
    const others = new Map<string, { files: number; examples: string[] }>();
    for (const name of names) {
      const found = byName(path.join(corpus, ...name.split('/')));
      if (found !== null) files.push(found);
      else {
        const other = others.get(ending(name)) ?? { files: 0, examples: [] };
        if (other.files++ < shownExamples) other.examples.push(name);
        others.set(ending(name), other);
      }
    }
    const leftOut = [...others].map(([end, other]) => ({ ending: end, ...other })).sort((a, b) => b.files - a.files);
    if (files.length > 0) return { files, leftOut };
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  throw new TritsmithError('bad-input', 'corpus.no-files', { corpus });
}

/** A file that was named by itself may be called as it likes, where it is text. */
async function singleFile(file: string): Promise<CorpusFile> {
  const found = byName(file);
  if (found !== null) return found;
  const begins = await beginning(file);
  const gzip = startsWith(begins, 0x1f, 0x8b);
  const what = gzip ? 'a compressed file whose name does not say what is in it' : notText(begins);
  if (what !== null || /\.(csv|tsv|json|xlsx|ods)$/i.test(file))
    throw new TritsmithError('unsupported', 'corpus.other-kind', { file, what: what ?? 'a table or a JSON document' });
  return { path: file, kind: 'text', gzip: false };
}

const latin1 = (text: string): number[] => [...Buffer.from(text, 'latin1')];

const signatures: readonly (readonly [string, readonly number[]])[] = [
  ['a ZIP archive or an Office document', [0x50, 0x4b, 3, 4]],
  ['a document of an old Office', [0xd0, 0xcf, 0x11, 0xe0]],
  ['a PDF document', latin1('%PDF-')],
  ['a Parquet file', latin1('PAR1')],
  ['a model file (GGUF)', latin1('GGUF')],
  ['a picture', [0x89, 0x50, 0x4e, 0x47]],
  ['a picture', [0xff, 0xd8, 0xff]],
  ['a picture', latin1('GIF8')],
  ['compressed', [0x1f, 0x8b]],
  ['compressed', [0x28, 0xb5, 0x2f, 0xfd]],
  ['compressed', [0xfd, 0x37, 0x7a, 0x58]],
  ['compressed', latin1('BZh')],
  ['a database', latin1('SQLite format 3')],
  ['a document in RTF', latin1('{\\rtf')],
];

/** What a file is that does not begin like text; null for text, in UTF-8, UTF-16 or another code page. */
export function notText(bytes: Uint8Array): string | null {
  const known = signatures.find(([, start]) => startsWith(bytes, ...start));
  if (known !== undefined) return known[0];
  return bytes.includes(0) && utf16(bytes) === null ? 'no text: it has NUL bytes' : null;
}
