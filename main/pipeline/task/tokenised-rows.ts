/**
 * A task's training rows as one file of token ids in the experiment's cache, read back row by row: of a row only its length and its
 * places in the file are held. Ids take two bytes where the vocabulary allows it.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import { fileSha256 } from '../../basics/file-digest.ts';
import { readFully } from '../../basics/regular-file.ts';
import type { ExampleRows } from '../../training/batches.ts';
import type { PreparedTask } from './task-data.ts';
import type { OnRows } from './task-rows.ts';

const fileInfo = z.object({
  key: z.string(),
  rows: z.int().positive(),
  tokens: z.int().positive(),
  bytesPerToken: z.union([z.literal(2), z.literal(4)]),
  /** Rows that fill the longest length. */
  full: z.int(),
  /** SHA-256 of the file. */
  sha256: z.string(),
});
type FileInfo = z.infer<typeof fileInfo>;

export interface TokenisedRows extends ExampleRows {
  /** Rows that fill the longest length. */
  readonly full: number;
  close(): Promise<void>;
}

/** Where each row's tokens lie, by row in the order of the seed. */
interface Index {
  readonly lengths: Int32Array;
  readonly responseStarts: Int32Array;
  /** First token. */
  readonly starts: Float64Array;
}

const emptyIndex = (rows: number): Index => ({
  lengths: new Int32Array(rows),
  responseStarts: new Int32Array(rows),
  starts: new Float64Array(rows),
});
const partsOf = ({ lengths, responseStarts, starts }: Index) => [lengths, responseStarts, starts];

/** The earlier file of the same key, unless it is damaged. */
async function earlier(path: string, key: string): Promise<FileInfo | null> {
  try {
    const info = fileInfo.parse(JSON.parse(await readFile(`${path}.json`, 'utf8')));
    if (info.key !== key) return null;
    return (await fileSha256(path)) === info.sha256 ? info : null;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing || error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}

const tokensAtOnce = 1 << 18;

async function write(
  path: string,
  key: string,
  { trainRows, train }: PreparedTask,
  bytesPerToken: 2 | 4,
  onRows: OnRows,
): Promise<FileInfo> {
  await mkdir(dirname(path), { recursive: true });
  // The tokens that an earlier key describes are about to be overwritten.
  await rm(`${path}.json`, { force: true });
  const index = emptyIndex(trainRows);
  const hash = createHash('sha256');
  let tokens = 0;
  let full = 0;
  await writeFileAtomically(path, async (file) => {
    const put = async (bytes: NodeJS.TypedArray): Promise<void> => {
      hash.update(bytes);
      await file.write(bytes);
    };
    const block = bytesPerToken === 2 ? new Uint16Array(tokensAtOnce) : new Uint32Array(tokensAtOnce);
    let used = 0;
    for await (const row of train(onRows)) {
      if (used + row.ids.length > block.length) {
        await put(block.subarray(0, used));
        used = 0;
      }
      block.set(row.ids, used);
      used += row.ids.length;
      index.lengths[row.index] = row.ids.length;
      index.responseStarts[row.index] = row.responseStart;
      index.starts[row.index] = tokens;
      tokens += row.ids.length;
      if (row.full) full += 1;
    }
    await put(block.subarray(0, used));
    for (const part of partsOf(index)) await put(part);
  });
  const info: FileInfo = { key, rows: trainRows, tokens, bytesPerToken, full, sha256: hash.digest('hex') };
  await writeFileAtomically(`${path}.json`, JSON.stringify(info));
  return info;
}

const shorter = () =>
  new TritsmithError('damaged', 'The cached training rows are shorter than they should be.', {
    remedy: 'Delete the cache folder of this experiment and resume.',
  });

/**
 * The training rows of `task` in `path`. An earlier file of the same `key` is used again when its digest still holds.
 * @param onRows called now and then with the rows read so far; may throw to stop
 */
export async function tokeniseRows(
  task: PreparedTask,
  vocabSize: number,
  path: string,
  key: string,
  onRows: OnRows,
): Promise<TokenisedRows> {
  const bytes = vocabSize <= 65_536 ? 2 : 4;
  const info = (await earlier(path, key)) ?? (await write(path, key, task, bytes, onRows));
  const { bytesPerToken } = info;
  const handle = await open(path, 'r');
  const index = emptyIndex(info.rows);
  try {
    let position = info.tokens * bytesPerToken;
    for (const part of partsOf(index)) {
      await readFully(handle, part, position, shorter);
      position += part.byteLength;
    }
  } catch (error) {
    await handle.close();
    throw error;
  }
  const { lengths, responseStarts, starts } = index;
  return {
    lengths,
    fingerprint: info.sha256,
    full: info.full,
    read: async (row) => {
      const raw = new (bytesPerToken === 2 ? Uint16Array : Uint32Array)(lengths[row]!);
      await readFully(handle, raw, starts[row]! * bytesPerToken, shorter);
      return { ids: Int32Array.from(raw), responseStart: responseStarts[row]! };
    },
    close: () => handle.close(),
  };
}
