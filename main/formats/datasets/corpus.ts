/** Running text for continued pre-training: files of any size, or a folder tree of them. */
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { TritsmithError } from '../../contract/errors.ts';
import type { TextEncoding } from '../../contract/table-reading.ts';
import { isJsonObject, ownValue, parseBoundedJson } from '../../basics/bounded-json.ts';
import { openRegularFile, readSize } from '../../basics/regular-file.ts';
import { beginning } from './beginning.ts';
import { corpusFiles, type CorpusFile, notText } from './corpus-files.ts';
import { documentText } from './document-reader.ts';
import { readLines } from './lines.ts';
import { openDataset } from './open.ts';
import { encodingOf, findEncoding } from './text-encoding.ts';

const documentBytes = 64 * 1024;
const longestDocument = 256 * 1024;
const readBytes = 256 * 1024;
const longestRow = 16 * 1024 * 1024;

export interface CorpusDocument {
  readonly text: string;
  readonly file: CorpusFile;
}

export interface CorpusTold {
  /** A row that holds no text: its file, and the byte offset after it (of compressed files and tables the number of the row). */
  readonly onSkipped?: (file: string, offset: number) => void;
  /** A file whose text is in another encoding than UTF-8. */
  readonly onEncoding?: (file: string, encoding: TextEncoding) => void;
  /** A file of a folder that could not be read, or not to its end. */
  readonly onLeftOut?: (file: string, why: TritsmithError) => void;
}

/** End of the first blank line at or after `from`, or -1. */
function afterBlankLine(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(10, from); at >= 0; at = bytes.indexOf(10, at + 1)) {
    let next = at + 1;
    if (bytes[next] === 13) next++;
    if (bytes[next] === 10) return next + 1;
  }
  return -1;
}

/** A place to cut text without blank lines: after the last line break, else between two characters. */
function forcedCut(bytes: Buffer): number {
  const line = bytes.lastIndexOf(10, longestDocument - 1);
  if (line > 0) return line + 1;
  let cut = longestDocument;
  while (cut > longestDocument - 4 && (bytes[cut]! & 0xc0) === 0x80) cut--;
  return cut;
}

/** The bytes of a file, in pieces of 256 KB. */
async function* storedBytes(file: string): AsyncGenerator<Buffer> {
  const { handle, size } = await openRegularFile(file);
  try {
    const blockBytes = readSize(readBytes, size);
    for (let offset = 0; ;) {
      const block = Buffer.alloc(blockBytes);
      const { bytesRead } = await handle.read(block, 0, blockBytes, offset);
      if (bytesRead === 0) return;
      offset += bytesRead;
      yield block.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** The same unpacked: in pieces of the same size, so that a text has the same documents compressed or not. */
async function* unpackedBytes(file: string): AsyncGenerator<Buffer> {
  const stored = Readable.from(storedBytes(file));
  const unpacking = createGunzip();
  stored.on('error', (thrown) => unpacking.destroy(thrown)).pipe(unpacking);
  let held: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of unpacking as AsyncIterable<Buffer>) {
      held.push(piece);
      length += piece.length;
      while (length >= readBytes) {
        const whole = Buffer.concat(held);
        yield whole.subarray(0, readBytes);
        held = [whole.subarray(readBytes)];
        length -= readBytes;
      }
    }
  } catch (thrown) {
    if (!/^Z_|^ERR_ZLIB|^ERR_TRAILING/.test((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown;
    throw new TritsmithError('damaged', 'corpus.gzip-damaged', { file });
  } finally {
    stored.destroy();
    unpacking.destroy();
  }
  if (length > 0) yield Buffer.concat(held);
}

/** The text of a file as UTF-8 in pieces. @throws TritsmithError `unsupported` for what is no text */
async function* utf8Bytes({ path, gzip }: CorpusFile, told: CorpusTold): AsyncGenerator<Buffer> {
  let decoder: InstanceType<typeof TextDecoder> | null | undefined;
  for await (const block of gzip ? unpackedBytes(path) : storedBytes(path)) {
    if (decoder === undefined) {
      const start = block.subarray(0, documentBytes);
      const what = notText(start);
      if (what !== null) throw new TritsmithError('unsupported', 'corpus.other-kind', { file: path, what });
      const { encoding } = gzip ? encodingOf(wholeLinesOf(start)) : await findEncoding(path);
      decoder = encoding === 'utf-8' ? null : new TextDecoder(encoding);
      if (decoder !== null) told.onEncoding?.(path, encoding);
    }
    yield decoder === null ? block : Buffer.from(decoder.decode(block, { stream: true }));
  }
}

/** Without the last line, which may be cut in a character; whole where it is the only one. */
function wholeLinesOf(start: Buffer): Buffer {
  const end = start.lastIndexOf(10) + 1;
  return end === 0 ? start : start.subarray(0, end);
}

/** Cuts text at the first blank line after 64 KB (at the latest after 256 KB, then at a line break). */
async function* cutText(blocks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let pending: Buffer = Buffer.alloc(0);
  let offset = 0;
  const take = (length: number) => {
    let text = decoder.decode(pending.subarray(0, length));
    if (offset === 0 && text.startsWith('\ufeff')) text = text.slice(1);
    pending = pending.subarray(length);
    offset += length;
    return text;
  };
  for await (const block of blocks) {
    pending = Buffer.concat([pending, block]);
    for (;;) {
      const cut = pending.length > documentBytes ? afterBlankLine(pending, documentBytes) : -1;
      if (cut > 0) yield take(cut);
      else if (pending.length > longestDocument) yield take(forcedCut(pending));
      else break;
    }
  }
  if (pending.length > 0) yield take(pending.length);
}

/** The text of a JSONL row: its field `text`, `content` or `document`, else its first field that is text. */
function textField(line: string): string | null {
  try {
    const row = parseBoundedJson(new TextEncoder().encode(line), 'A line');
    if (typeof row === 'string') return row;
    if (!isJsonObject(row)) return null;
    const named = ['text', 'content', 'document'].map((name) => ownValue(row, name));
    const found = [...named, ...Object.values(row)].find((value) => typeof value === 'string');
    return typeof found === 'string' ? found : null;
  } catch {
    return null;
  }
}

/** Lines of text that does not lie in the file as it is read, numbered; null for one of more than 16 MB. */
async function* linesOf(blocks: AsyncIterable<Buffer>): AsyncGenerator<{ text: string | null; end: number }> {
  const decoder = new TextDecoder('utf-8');
  let pending = '';
  let skipping = false;
  let end = 0;
  for await (const block of blocks) {
    const lines = (pending + decoder.decode(block, { stream: true })).split('\n');
    pending = lines.pop()!;
    for (const text of lines) {
      yield { text: skipping ? null : text.replace(/\r$/, ''), end: ++end };
      skipping = false;
    }
    if (pending.length > longestRow) [pending, skipping] = ['', true];
  }
  if (skipping || pending !== '') yield { text: skipping ? null : pending, end: end + 1 };
}

async function* rowTexts(
  file: CorpusFile,
  skipped: (offset: number) => void,
  told: CorpusTold,
): AsyncGenerator<string> {
  const start = file.gzip ? null : await beginning(file.path);
  const plain = start !== null && (await findEncoding(file.path)).encoding === 'utf-8';
  const what = plain ? notText(start) : null;
  if (what !== null) throw new TritsmithError('unsupported', 'corpus.other-kind', { file: file.path, what });
  for await (const { text, end } of plain ? readLines(file.path) : linesOf(utf8Bytes(file, told))) {
    const found = text === null ? null : text.trim() === '' ? '' : textField(text);
    if (found === null) skipped(end);
    else yield found;
  }
}

const sampledRows = 20;

/** The texts of a table's rows: of its column `text`, `content` or `document`, else of the one whose first rows have most text. */
async function* tableTexts({ path }: CorpusFile, skipped: (row: number) => void): AsyncGenerator<string> {
  const { columns, rows } = await openDataset(path);
  let column = ['text', 'content', 'document'].find((name) => columns.includes(name));
  if (column === undefined) {
    const lengths = columns.map(() => 0);
    for await (const { values, row } of rows()) {
      columns.forEach((name, i) => (lengths[i]! += (values[name] ?? '').length));
      if (row >= sampledRows) break;
    }
    column = columns[lengths.indexOf(Math.max(...lengths))] ?? '';
  }
  for await (const { row, values } of rows()) {
    const text = values[column] ?? '';
    if (/\S/.test(text)) yield text;
    else skipped(row);
  }
}

async function* documentTexts(file: CorpusFile): AsyncGenerator<string> {
  async function* whole(): AsyncGenerator<Buffer> {
    const bytes = Buffer.from(await documentText(file));
    for (let at = 0; at < bytes.length; at += readBytes) yield bytes.subarray(at, at + readBytes);
  }
  yield* cutText(whole());
}

function textsOf(file: CorpusFile, told: CorpusTold): AsyncGenerator<string> {
  const skipped = (offset: number): void => told.onSkipped?.(file.path, offset);
  if (file.kind === 'text') return cutText(utf8Bytes(file, told));
  if (file.kind === 'rows') return rowTexts(file, skipped, told);
  return file.kind === 'parquet' ? tableTexts(file, skipped) : documentTexts(file);
}

/**
 * Documents of a corpus, in the order of `corpusFiles`. Texts (also those of HTML, PDF and Word files) are cut at the first blank line
 * after 64 KB (at the latest after 256 KB, then at a line break); each row of a JSONL or Parquet file is a document. Byte order marks
 * and CR are taken off; documents of nothing but white space are left out. Memory does not grow with the corpus.
 * @throws TritsmithError `not-found`, `bad-input`, `not-writable` (no permission), `unsupported` and `damaged` (a single file; those
 * of a folder are left out and told)
 */
export async function* readCorpus(corpus: string, told: CorpusTold = {}): AsyncGenerator<CorpusDocument> {
  const { files } = await corpusFiles(corpus);
  const single = files.length === 1 && files[0]!.path === corpus;
  for (const file of files) {
    try {
      for await (const text of textsOf(file, told)) {
        const plain = text.replaceAll('\r\n', '\n').replaceAll('\r', '\n');
        if (/\S/.test(plain)) yield { text: plain, file };
      }
    } catch (thrown) {
      const error = TritsmithError.from(thrown);
      if (single || told.onLeftOut === undefined || error.code === 'internal') throw error;
      told.onLeftOut(file.path, error);
    }
  }
}
