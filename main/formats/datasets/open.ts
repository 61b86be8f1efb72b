/** Finds out what a dataset file is and opens it. */
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { openRegularFile, readSize } from '../../basics/regular-file.ts';
import { withChats } from './chats.ts';
import { type ChatLayout, type Dataset, Problems, type Source } from './dataset.ts';
import { noRows, openCsv, openTsv } from './delimited.ts';
import { findDelimiter } from './delimiter.ts';
import { openJson, openJsonLines } from './json.ts';
import { openParquet } from './parquet.ts';
import { refuseOtherThanText } from './text-encoding.ts';

const sniffedBytes = 64 * 1024;

async function beginning(file: string): Promise<Buffer> {
  const { handle, size } = await openRegularFile(file);
  try {
    const bytes = Buffer.alloc(readSize(sniffedBytes, size));
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Whether the text begins with one whole JSON object and goes on with another on the next line. */
function looksLikeJsonLines(text: string): boolean {
  const [first = '', second = ''] = text.trimStart().split(/\r?\n/, 2);
  if (!first.startsWith('{')) return false;
  if (first.length === text.trimStart().length && text.length >= sniffedBytes / 2) return second === '';
  try {
    JSON.parse(first);
  } catch {
    return false;
  }
  return second.trimStart().startsWith('{');
}

async function openSource(file: string): Promise<Source> {
  const bytes = await beginning(file);
  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  const extension = path.extname(file).toLowerCase();
  if (extension === '.parquet' || bytes.subarray(0, 4).toString('latin1') === 'PAR1') return openParquet(file);
  refuseOtherThanText(file, bytes);
  if (extension === '.jsonl' || extension === '.ndjson') return openJsonLines(file);
  if (extension === '.json' || (extension !== '.tsv' && extension !== '.csv' && /^\s*[[{]/.test(text)))
    return looksLikeJsonLines(text) ? openJsonLines(file) : openJson(file);
  const favourite = extension === '.tsv' ? '\t' : extension === '.csv' ? ',' : null;
  const delimiter = findDelimiter(text.trimStart(), favourite) ?? favourite;
  if (delimiter === '\t' && /\r(?!\n)/.test(text) && !text.includes('\n'))
    throw new TritsmithError('bad-input', 'table.line-ends', { file });
  if (text.trim() === '') throw noRows(file);
  if (delimiter === '\t') return openTsv(file);
  if (delimiter !== null) return openCsv(file, delimiter);
  throw new TritsmithError('unsupported', 'table.unknown-kind', { file });
}

/**
 * Opens a file of task rows: TSV, CSV, JSONL, a JSON array of objects, `{id: row}`, or Parquet; by its name, then by its content.
 * All values come as text (see `textOf`). Of conversations and instructions the text and the answer are columns of their own (`withChats`).
 * @throws TritsmithError `not-found`, `bad-input` (no header, no rows, JSON over 512 MB), `damaged`, `unsupported`; `damaged` also while iterating
 */
export async function openDataset(file: string): Promise<Dataset> {
  let source: Source;
  let chats: ChatLayout | null;
  try {
    ({ source, chats } = await withChats(await openSource(file), new Problems()));
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  const problems = new Problems();
  return {
    path: file,
    format: source.format,
    columns: source.columns,
    chats,
    problems: problems.kept,
    get problemCount() {
      return problems.count;
    },
    problemKinds: problems.kinds,
    rows() {
      problems.clear();
      return source.rows(problems);
    },
  };
}
