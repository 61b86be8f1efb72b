/** What encoding a text file is in, and its bytes as UTF-8. Refuses files that are no text. */
import { isAscii, isUtf8 } from 'node:buffer';
import { analyse } from 'chardet';
import { TritsmithError } from '../../contract/errors.ts';
import { type TextEncoding, textEncoding } from '../../contract/table-reading.ts';
import { openRegularFile, readSize } from '../../basics/regular-file.ts';
import { startsWith } from './beginning.ts';

/**
 * Looks at the first bytes of a file that should be a table or JSON.
 * @throws TritsmithError `unsupported` (compressed, an old Excel file, a DuckDB database)
 */
export function refuseOtherThanText(file: string, bytes: Uint8Array): void {
  if (startsWith(bytes, 0x1f, 0x8b) || startsWith(bytes, 0x28, 0xb5, 0x2f, 0xfd))
    throw new TritsmithError('unsupported', 'text.compressed', { file });
  if (startsWith(bytes, 0xd0, 0xcf, 0x11, 0xe0)) throw new TritsmithError('unsupported', 'workbook.old', { file });
  if (startsWith(bytes.subarray(8), 0x44, 0x55, 0x43, 0x4b) && bytes.includes(0))
    throw new TritsmithError('unsupported', 'database.duckdb', { file });
}

/** @throws TritsmithError `bad-input` where the text of one byte a character has a NUL in `bytes` */
export function refuseNul(file: string, bytes: Uint8Array, encoding: TextEncoding): void {
  const zero = encoding.startsWith('utf-16') ? -1 : bytes.indexOf(0);
  if (zero >= 0)
    throw new TritsmithError('bad-input', 'text.nul-byte', {
      file,
      line: bytes.subarray(0, zero).filter((byte) => byte === 10).length + 1,
    });
}

export interface FoundEncoding {
  readonly encoding: TextEncoding;
  /** 0 to 1. */
  readonly confidence: number;
}

const sure = (encoding: TextEncoding): FoundEncoding => ({ encoding, confidence: 1 });

/** UTF-16 by its mark, or by zeros in every other byte, as text in Latin letters has them; null for other text. */
export function utf16(bytes: Uint8Array): FoundEncoding | null {
  if (startsWith(bytes, 0xff, 0xfe)) return sure('utf-16le');
  if (startsWith(bytes, 0xfe, 0xff)) return sure('utf-16be');
  const zeros: [number, number] = [0, 0];
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0) zeros[i % 2]!++;
  const [even, odd] = zeros;
  if (bytes.length < 8 || Math.max(even, odd) <= bytes.length * 0.1 || Math.min(even, odd) >= bytes.length * 0.02)
    return null;
  return { encoding: odd > even ? 'utf-16le' : 'utf-16be', confidence: 0.95 };
}

/** Characters of two bytes and more that are valid UTF-8, and bytes that are not. */
function utf8Balance(bytes: Uint8Array): { valid: number; invalid: number } {
  const text = new TextDecoder().decode(bytes);
  let valid = 0;
  let invalid = 0;
  for (const character of text)
    if (character === '\ufffd') invalid++;
    else if (character > '\x7f') valid++;
  return { valid, invalid };
}

function decoded(bytes: Uint8Array, encoding: TextEncoding): string | null {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** Share of the characters beyond ASCII for which `fits` holds. */
function shareBeyondAscii(text: string, fits: (character: string, before: string, after: string) => boolean): number {
  let all = 0;
  let good = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i]! <= '\x7f') continue;
    all++;
    if (fits(text[i]!, text[i - 1] ?? ' ', text[i + 1] ?? ' ')) good++;
  }
  return all === 0 ? 0 : good / all;
}

const latin = /[A-Za-z]/;
/** Letters and marks of Western European texts. */
const western = /[À-ÖØ-öø-þŒœŠšŽžŸ€‚„…‘’“”–—•™«»¿¡°§£¥©®²³½¼¾´·ªº\u00a0±µ‹›]/;
const isCyrillic = (character: string) => character >= 'Ѐ' && character <= 'ӿ';
const isKana = (character: string) => character >= '\u3041' && character <= '\u30fe';

/** Share of the pairs that are the commoner signs of GB 2312 (its first level and punctuation). */
function commonGb(bytes: Uint8Array): number {
  let pairs = 0;
  let common = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte < 0x80) continue;
    pairs++;
    if ((byte >= 0xb0 && byte <= 0xd7) || (byte >= 0xa1 && byte <= 0xa3)) common++;
    i++;
  }
  return pairs === 0 ? 0 : common / pairs;
}

/** A text that is mostly of letters beyond ASCII side by side, as no Latin script has them. */
function inLongRuns(bytes: Uint8Array): boolean {
  let high = 0;
  let beside = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i]! < 0x80) continue;
    high++;
    if ((bytes[i - 1] ?? 0) >= 0x80 || (bytes[i + 1] ?? 0) >= 0x80) beside++;
  }
  return high >= 4 && beside > high * 0.8;
}

const names: Readonly<Record<string, TextEncoding>> = { 'iso-8859-1': 'windows-1252', 'iso-8859-9': 'windows-1254' };

/**
 * What chardet's statistics say, after what short samples can be told by: kana, common Chinese signs, words of Cyrillic letters alone.
 * Null where nothing fits well.
 */
function eightBit(bytes: Uint8Array): FoundEncoding | null {
  const fits = (encoding: TextEncoding, good: (text: string) => boolean): boolean => {
    const text = decoded(bytes, encoding);
    return text !== null && good(text);
  };
  if (fits('shift_jis', (text) => shareBeyondAscii(text, isKana) > 0.2))
    return { encoding: 'shift_jis', confidence: 0.9 };
  const ranked = analyse(bytes)
    .map(({ name, confidence }) => {
      const lower = name.toLowerCase();
      return { encoding: textEncoding.safeParse(names[lower] ?? lower).data, confidence: confidence / 100 };
    })
    .filter((item): item is FoundEncoding => item.encoding !== undefined && decoded(bytes, item.encoding) !== null);
  const [best] = ranked;
  if (best !== undefined && best.confidence >= 0.6 && !/^(windows|iso|koi8)/.test(best.encoding)) return best;
  if (inLongRuns(bytes)) {
    if (commonGb(bytes) > 0.9 && decoded(bytes, 'gb18030') !== null) return { encoding: 'gb18030', confidence: 0.7 };
    const cyrillic = ranked.find(({ encoding }) => encoding === 'koi8-r' || encoding === 'windows-1251');
    const inWords = (text: string) =>
      shareBeyondAscii(
        text,
        (character, before, after) => isCyrillic(character) && !latin.test(before) && !latin.test(after),
      ) > 0.8;
    if (cyrillic && fits(cyrillic.encoding, inWords))
      return { ...cyrillic, confidence: Math.max(cyrillic.confidence, 0.6) };
  }
  const single = ranked.find(({ encoding }) => /^(windows|iso|koi8)/.test(encoding));
  if (single !== undefined && single.encoding !== 'windows-1252') return single.confidence >= 0.2 ? single : null;
  const isWestern = fits(
    'windows-1252',
    (text) => shareBeyondAscii(text, (character) => western.test(character)) > 0.9 && /[A-Za-z]/.test(text),
  );
  return isWestern && !inLongRuns(bytes) ? { encoding: 'windows-1252', confidence: single?.confidence ?? 0.5 } : null;
}

/** The encoding of a sample of text. UTF-8 with damaged places stays UTF-8; what fits nothing is taken as UTF-8 too, and says so by its confidence. */
export function encodingOf(bytes: Uint8Array): FoundEncoding {
  const wide = utf16(bytes);
  if (wide !== null) return wide;
  if (startsWith(bytes, 0xef, 0xbb, 0xbf) || isUtf8(bytes)) return sure('utf-8');
  const { valid, invalid } = utf8Balance(bytes);
  if (valid > invalid) return { encoding: 'utf-8', confidence: 0.9 };
  return eightBit(bytes) ?? { encoding: 'utf-8', confidence: 0.3 };
}

const blockBytes = 256 * 1024;
const sampledBytes = 128 * 1024;
const scannedBytes = 64 * 1024 * 1024;

/** Lines of the block that are not ASCII alone, up to `room` bytes. */
function linesBeyondAscii(block: Buffer, room: number): Buffer {
  const parts: Buffer[] = [];
  for (let from = 0, taken = 0; from < block.length && taken < room;) {
    const at = block.indexOf(10, from);
    const line = block.subarray(from, at < 0 ? block.length : at + 1);
    from += line.length;
    if (isAscii(line)) continue;
    parts.push(line);
    taken += line.length;
  }
  return Buffer.concat(parts).subarray(0, room);
}

/** Without the bytes before the first and after the last line break, where a character may be cut; whole where it has no two. */
function wholeLines(block: Buffer, first: boolean, last: boolean): Buffer {
  const start = first ? 0 : block.indexOf(10) + 1;
  const end = last ? block.length : block.lastIndexOf(10) + 1;
  return end > start ? block.subarray(start, end) : Buffer.alloc(0);
}

/**
 * Finds out the encoding from the first 128 kB of lines that are not ASCII, within the file's first 64 MB. Reads no more than it needs.
 * @throws TritsmithError as `openRegularFile`
 */
export async function findEncoding(file: string): Promise<FoundEncoding> {
  const { handle, size } = await openRegularFile(file);
  try {
    const block = Buffer.alloc(readSize(blockBytes, size));
    let sample = Buffer.alloc(0);
    for (let position = 0; position < scannedBytes && sample.length < sampledBytes;) {
      const { bytesRead } = await handle.read(block, 0, block.length, position);
      if (bytesRead === 0) break;
      const read = block.subarray(0, bytesRead);
      const first = position === 0;
      position += bytesRead;
      const wide = first ? utf16(read) : null;
      if (wide !== null) return wide;
      if (first && startsWith(read, 0xef, 0xbb, 0xbf)) return sure('utf-8');
      if (isAscii(read)) continue;
      const lines = wholeLines(read, first, position >= size);
      sample = Buffer.concat([sample, linesBeyondAscii(lines, sampledBytes - sample.length)]);
    }
    // The sample's end may cut a character.
    const whole = sample.length < sampledBytes ? sample : sample.subarray(0, sample.lastIndexOf(10) + 1);
    return encodingOf(whole.length > 0 ? whole : sample);
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  } finally {
    await handle.close();
  }
}

/** Bytes of a text in `encoding` as bytes of UTF-8. */
export async function* asUtf8(blocks: AsyncIterable<Buffer>, encoding: TextEncoding): AsyncGenerator<Buffer> {
  if (encoding === 'utf-8') {
    yield* blocks;
    return;
  }
  const decoder = new TextDecoder(encoding);
  for await (const block of blocks) yield Buffer.from(decoder.decode(block, { stream: true }));
  yield Buffer.from(decoder.decode());
}

const asUtf8Advice = 'Save it as UTF-8 (in Excel: "CSV UTF-8"; in LibreOffice: character set "Unicode (UTF-8)").';

/** The message about a row with bytes that are no text in the file's encoding. */
export function notInEncoding(encoding: TextEncoding): string {
  const name = encoding === 'utf-8' ? 'UTF-8' : `text in ${encoding}`;
  return `some bytes are no ${name} and are shown as \ufffd; the row is kept. ${asUtf8Advice}`;
}
