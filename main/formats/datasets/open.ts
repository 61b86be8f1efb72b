/** Finds out what a dataset file is and opens it. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { ReadingOptions, TextEncoding } from '../../contract/table-reading.ts';
import { beginning, sniffedBytes } from './beginning.ts';
import { withChats } from './chats.ts';
import { openClassFolders } from './class-folders.ts';
import { type ChatLayout, type Dataset, Problems, type Source } from './dataset.ts';
import { type DelimitedReading, noRows, openDelimited } from './delimited.ts';
import { type Delimiter, findDelimiter, findQuoting } from './delimiter.ts';
import { openJson, openJsonLines } from './json.ts';
import { openParquet } from './parquet.ts';
import { findEncoding, type FoundEncoding, refuseNul, refuseOtherThanText } from './text-encoding.ts';
import { database, openWholeTable, workbook } from './whole-table.ts';

async function isFolder(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isDirectory();
  } catch {
    // Whoever opens the file says what is wrong with it.
    return false;
  }
}

/** Whether the text begins with one whole JSON object and goes on with another on the next line. */
function looksLikeJsonLines(text: string): boolean {
  const [first = '', second = ''] = text.trimStart().split(/\r?\n/, 2);
  if (!first.startsWith('{')) return false;
  if (first.length === text.trimStart().length && text.length >= sniffedBytes / 2) return second === '';
  try {
    JSON.parse(first.trimEnd().replace(/,$/, ''));
  } catch {
    return false;
  }
  return second.trimStart().startsWith('{');
}

/** How a table in text is read, found out from its beginning where the options leave it open; null where nothing separates columns. */
function findReading(
  text: string,
  favourite: Delimiter | null,
  found: FoundEncoding,
  options: ReadingOptions,
): DelimitedReading | null {
  const separator = /^sep=([^\r\n])\r?\n/i.exec(text);
  const from = typeof options.header === 'number' ? options.header - 1 : 0;
  const table = (separator ? text.slice(separator[0].length) : text).trimStart();
  const sample = from === 0 ? table : text.split('\n').slice(from).join('\n');
  const delimiter = options.delimiter ?? separator?.[1] ?? findDelimiter(sample, favourite) ?? favourite;
  if (delimiter === null) return null;
  const quoting = findQuoting(sample, delimiter);
  return {
    ...found,
    delimiter,
    quote: options.quote ?? quoting.quote,
    escape: options.escape ?? quoting.escape,
    header: options.header,
    separatorLine: separator !== null,
  };
}

/** The beginning as text; what its last line lacks is cut off where the file goes on. */
function textOfBeginning(bytes: Buffer, encoding: TextEncoding): string {
  return new TextDecoder(encoding).decode(bytes, { stream: bytes.length >= sniffedBytes });
}

async function openTextFile(file: string, bytes: Buffer, extension: string, options: ReadingOptions): Promise<Source> {
  refuseOtherThanText(file, bytes);
  const found =
    options.encoding === undefined ? await findEncoding(file) : { encoding: options.encoding, confidence: 1 };
  refuseNul(file, bytes, found.encoding);
  const text = textOfBeginning(bytes, found.encoding);
  if (extension === '.jsonl' || extension === '.ndjson') return openJsonLines(file, found, options);
  if (extension === '.json' || (extension !== '.tsv' && extension !== '.csv' && /^\s*[[{]/.test(text)))
    return looksLikeJsonLines(text) ? openJsonLines(file, found, options) : openJson(file, found, options);
  const favourite = extension === '.tsv' ? '\t' : extension === '.csv' ? ',' : null;
  const reading = findReading(text, favourite, found, options);
  if (reading?.delimiter === '\t' && /\r(?!\n)/.test(text) && !text.includes('\n'))
    throw new TritsmithError('bad-input', 'table.line-ends', { file });
  if (text.trim() === '') throw noRows(file);
  if (reading !== null) return openDelimited(file, reading);
  throw new TritsmithError('unsupported', 'table.unknown-kind', { file });
}

async function openSource(file: string, options: ReadingOptions): Promise<Source> {
  if (await isFolder(file)) return openClassFolders(file, options);
  const bytes = await beginning(file);
  const extension = path.extname(file).toLowerCase();
  const magic = bytes.subarray(0, 16).toString('latin1');
  if (extension === '.parquet' || magic.startsWith('PAR1')) return openParquet(file);
  if (magic === 'SQLite format 3\0') return openWholeTable(database, file, options);
  if (magic.startsWith('PK\x03\x04')) return openWholeTable(workbook, file, options);
  return openTextFile(file, bytes, extension, options);
}

/**
 * Opens a file of task rows: a table in text, JSON, Parquet, a workbook, an SQLite database, or a folder of text files by class; by its
 * name, then by its content. All values come as text (see `textOf`). Of conversations and instructions the text and the answer are columns of
 * their own (`withChats`).
 * @param options what a person set; the rest is found out
 * @throws TritsmithError `not-found`, `bad-input` (no header, no rows, no such sheet, JSON over 512 MB), `damaged`, `unsupported`; `damaged` also while iterating
 */
export async function openDataset(file: string, options: ReadingOptions = {}): Promise<Dataset> {
  let source: Source;
  let chats: ChatLayout | null;
  try {
    ({ source, chats } = await withChats(await openSource(file, options), new Problems()));
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  const problems = new Problems();
  return {
    path: file,
    format: source.format,
    columns: source.columns,
    chats,
    reading: source.reading,
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
