/**
 * Token ids in one file of an experiment's cache, read back at any position, with an index where they are rows: of a row only its length
 * and its places in the file are held. Ids take two bytes where the vocabulary allows it. A file beside it (`.json`) says what it holds; a
 * file that is damaged, or was made of something else, counts as not there.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import { fileSha256 } from '../../basics/file-digest.ts';
import { readFully } from '../../basics/regular-file.ts';

/** To be raised when texts are tokenised otherwise or files are laid out otherwise: earlier files are then made anew. */
export const tokenFileVersion = 2;

const fileInfo = z.object({
  version: z.literal(tokenFileVersion),
  key: z.string(),
  rows: z.int().min(0),
  tokens: z.int().min(0),
  bytesPerToken: z.union([z.literal(2), z.literal(4)]),
  /** SHA-256 of the file. */
  sha256: z.string(),
  about: z.unknown(),
});
type FileInfo = z.infer<typeof fileInfo>;

/** What lies behind the tokens, by row. */
interface RowIndex {
  /** Tokens of each row. */
  readonly lengths: Int32Array;
  /** First token of each row's answer, counted from the row's first. */
  readonly responseStarts: Int32Array;
  /** First token of each row in the file. */
  readonly starts: Float64Array;
}

function emptyIndex(rows: number): RowIndex {
  return { lengths: new Int32Array(rows), responseStarts: new Int32Array(rows), starts: new Float64Array(rows) };
}
const partsOf = ({ lengths, responseStarts, starts }: RowIndex) => [lengths, responseStarts, starts];

export interface TokenFile<About> {
  /** Digest of what it was made from. */
  readonly key: string;
  /** SHA-256 of the file. */
  readonly sha256: string;
  readonly tokens: number;
  /** What the writer had to say about it. */
  readonly about: About;
  readonly index: RowIndex;
  /** `count` tokens from token `start` on. @throws TritsmithError `damaged` where the file ends before */
  read(start: number, count: number): Promise<Int32Array>;
  close(): Promise<void>;
}

export interface TokenWriter {
  readonly tokens: number;
  append(ids: Int32Array | readonly number[]): Promise<void>;
  /** Appends row number `row` of the index. */
  appendRow(row: number, ids: Int32Array, responseStart: number): Promise<void>;
}

export interface TokenFileRequest<About> {
  readonly path: string;
  readonly key: string;
  /** Shape of what is said about the file. */
  readonly about: z.ZodType<About>;
  readonly vocabSize: number;
  /** Rows of the index; 0: the tokens are one text. */
  readonly rows: number;
  /** Writes the tokens where there is no file to use again. Whatever it throws comes out, and no file is left. */
  write(writer: TokenWriter): Promise<About>;
}

async function earlierInfo(path: string, key: string): Promise<FileInfo | null> {
  try {
    const info = fileInfo.parse(JSON.parse(await readFile(`${path}.json`, 'utf8')));
    if (info.key !== key) return null;
    return (await fileSha256(path)) === info.sha256 ? info : null;
  } catch {
    // Missing, damaged or not to be read: whoever writes it anew will hear why, if that can't be done.
    return null;
  }
}

const tokensAtOnce = 1 << 18;

async function writeTokens<About>(request: TokenFileRequest<About>): Promise<FileInfo> {
  const { path, key, vocabSize, rows } = request;
  await mkdir(dirname(path), { recursive: true });
  // What an earlier key described is about to be gone.
  await rm(`${path}.json`, { force: true });
  const bytesPerToken = vocabSize <= 65_536 ? 2 : 4;
  const index = emptyIndex(rows);
  const hash = createHash('sha256');
  let tokens = 0;
  let about: unknown;
  await writeFileAtomically(path, async (file) => {
    const put = async (bytes: NodeJS.TypedArray): Promise<void> => {
      hash.update(bytes);
      await file.write(bytes);
    };
    const block = bytesPerToken === 2 ? new Uint16Array(tokensAtOnce) : new Uint32Array(tokensAtOnce);
    let used = 0;
    const append = async (ids: Int32Array | readonly number[]): Promise<void> => {
      for (let done = 0; done < ids.length;) {
        const piece = ids.slice(done, done + block.length - used);
        block.set(piece, used);
        used += piece.length;
        done += piece.length;
        if (used < block.length) break;
        await put(block);
        used = 0;
      }
      tokens += ids.length;
    };
    about = await request.write({
      get tokens() {
        return tokens;
      },
      append,
      appendRow: (row, ids, responseStart) => {
        index.lengths[row] = ids.length;
        index.responseStarts[row] = responseStart;
        index.starts[row] = tokens;
        return append(ids);
      },
    });
    await put(block.subarray(0, used));
    for (const part of partsOf(index)) await put(part);
  });
  const sha256 = hash.digest('hex');
  const info: FileInfo = { version: tokenFileVersion, key, rows, tokens, bytesPerToken, sha256, about };
  await writeFileAtomically(`${path}.json`, JSON.stringify(info));
  return info;
}

const shorter = () => new TritsmithError('damaged', 'tokens.too-short');

async function openFile<About>(path: string, info: FileInfo, about: About): Promise<TokenFile<About>> {
  const { key, sha256, tokens, bytesPerToken } = info;
  const handle = await open(path, 'r');
  const index = emptyIndex(info.rows);
  try {
    let position = tokens * bytesPerToken;
    for (const part of partsOf(index)) {
      await readFully(handle, part, position, shorter);
      position += part.byteLength;
    }
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    key,
    sha256,
    tokens,
    about,
    index,
    read: async (start, count) => {
      if (start + count > tokens) throw shorter();
      const raw = bytesPerToken === 2 ? new Uint16Array(count) : new Uint32Array(count);
      await readFully(handle, raw, start * bytesPerToken, shorter);
      return Int32Array.from(raw);
    },
    close: () => handle.close(),
  };
}

/** The file of an earlier job, where it is whole and of the same key; else null. */
export async function earlierTokens<About>({
  path,
  key,
  about,
}: Pick<TokenFileRequest<About>, 'path' | 'key' | 'about'>): Promise<TokenFile<About> | null> {
  const info = await earlierInfo(path, key);
  const said = about.safeParse(info?.about);
  return info === null || !said.success ? null : openFile(path, info, said.data);
}

/** The file of an earlier job, or a new one. @throws TritsmithError `no-space`, `not-writable`; what `write` throws */
export async function cachedTokens<About>(request: TokenFileRequest<About>): Promise<TokenFile<About>> {
  const earlier = await earlierTokens(request);
  if (earlier !== null) return earlier;
  const info = await writeTokens(request);
  return openFile(request.path, info, request.about.parse(info.about));
}
