/** Running text for continued pre-training: a text or JSONL file of any size, or a folder tree of them. */
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { isJsonObject, ownValue, parseBoundedJson } from '../../basics/bounded-json.ts';
import { openRegularFile, readSize } from '../../basics/regular-file.ts';
import { readLines } from './lines.ts';

const documentBytes = 64 * 1024;
const longestDocument = 256 * 1024;
const readBytes = 256 * 1024;

export interface CorpusDocument {
  readonly text: string;
}

/**
 * The files of a corpus in a fixed order: the file itself, or every `.txt`, `.jsonl` and `.ndjson` below the folder, sorted by path
 * (by code units, the same on every machine). Linked folders are not entered.
 * @throws TritsmithError `not-found`, `bad-input` (a folder without such files)
 */
export async function corpusFiles(corpus: string): Promise<string[]> {
  try {
    if (!(await stat(corpus)).isDirectory()) return [corpus];
    const entries = await readdir(corpus, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => !entry.isDirectory() && /\.(txt|jsonl|ndjson)$/i.test(entry.name))
      .map((entry) => path.relative(corpus, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
      .sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    if (files.length > 0) return files.map((file) => path.join(corpus, ...file.split('/')));
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  throw new TritsmithError('bad-input', 'corpus.no-files', { corpus });
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

async function* textDocuments(file: string): AsyncGenerator<CorpusDocument> {
  const { handle, size } = await openRegularFile(file);
  try {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const blockBytes = readSize(readBytes, size);
    let pending: Buffer = Buffer.alloc(0);
    let offset = 0;
    const take = (length: number) => {
      let text = decoder.decode(pending.subarray(0, length));
      if (offset === 0 && text.startsWith('\ufeff')) text = text.slice(1);
      pending = pending.subarray(length);
      offset += length;
      return { text: text.replaceAll('\r\n', '\n').replaceAll('\r', '\n') };
    };
    for (;;) {
      const block = Buffer.alloc(blockBytes);
      const { bytesRead } = await handle.read(block, 0, blockBytes, offset + pending.length);
      pending = Buffer.concat([pending, block.subarray(0, bytesRead)]);
      for (;;) {
        const cut = pending.length > documentBytes ? afterBlankLine(pending, documentBytes) : -1;
        if (cut > 0) yield take(cut);
        else if (pending.length > longestDocument) yield take(forcedCut(pending));
        else break;
      }
      if (bytesRead === 0) break;
    }
    if (pending.length > 0) yield take(pending.length);
  } finally {
    await handle.close();
  }
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

async function* jsonDocuments(file: string, skipped: (offset: number) => void): AsyncGenerator<CorpusDocument> {
  for await (const { text, end } of readLines(file)) {
    const found = text === null ? null : text.trim() === '' ? '' : textField(text);
    if (found === null) skipped(end);
    else yield { text: found.replaceAll('\r\n', '\n').replaceAll('\r', '\n') };
  }
}

/**
 * Documents of a corpus, in the order of `corpusFiles`. Text files are cut at the first blank line after 64 KB (at
 * the latest after 256 KB, then at a line break); each row of a JSONL file is a document. Byte order marks and CR are taken off;
 * documents of nothing but white space are left out. Memory does not grow with the corpus.
 * @param onSkipped told of JSONL rows that hold no text: the file, and the byte offset after the row
 * @throws TritsmithError `not-found`, `bad-input`, `not-writable` (no permission)
 */
export async function* readCorpus(
  corpus: string,
  onSkipped: (file: string, offset: number) => void = () => undefined,
): AsyncGenerator<CorpusDocument> {
  const files = await corpusFiles(corpus);
  try {
    for (const file of files) {
      const documents = /\.(jsonl|ndjson)$/i.test(file)
        ? jsonDocuments(file, (offset) => onSkipped(file, offset))
        : textDocuments(file);
      for await (const document of documents) if (/\S/.test(document.text)) yield document;
    }
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
}
