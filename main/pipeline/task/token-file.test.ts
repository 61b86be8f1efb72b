import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { tokeniseCorpus } from '../stages/corpus-tokens.ts';
import { cachedTokens, earlierTokens, tokenFileVersion } from './token-file.ts';

const demo = fileURLToPath(new URL('../../../resources/demo/', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-tokens-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const about = z.object({ said: z.string() });
/** More tokens than are written at once, in pieces that do not divide that number. */
const ids = Int32Array.from({ length: 700_001 }, (_, at) => (at * 7919) % 60_000);

describe('a file of tokens', () => {
  it.each([
    ['two', 60_000, 2],
    ['four', 100_000, 4],
  ])('gives back what was written, %s bytes each', async (name, vocabSize, bytes) => {
    const request = { path: join(folder, name), key: 'k', about, vocabSize, rows: 0 };
    const write = async (writer: { append(piece: Int32Array): Promise<void> }) => {
      for (let at = 0; at < ids.length; at += 99_991) await writer.append(ids.subarray(at, at + 99_991));
      return { said: 'once' };
    };
    const file = await cachedTokens({ ...request, write });
    expect([file.tokens, file.about]).toEqual([700_001, { said: 'once' }]);
    expect(await file.read(0, ids.length)).toEqual(ids);
    expect(await file.read(262_100, 100)).toEqual(ids.slice(262_100, 262_200));
    await expect(file.read(700_000, 2)).rejects.toMatchObject({ code: 'damaged' });
    await file.close();
    expect(readFileSync(request.path).length).toBe(bytes * ids.length);
    const again = await cachedTokens({ ...request, write: () => Promise.reject(new Error('written again')) });
    expect(again.sha256).toBe(file.sha256);
    await again.close();
  });

  it('is not one of another version of the program', async () => {
    const path = join(folder, 'version');
    const write = () => Promise.resolve({ said: '' });
    await (await cachedTokens({ path, key: 'k', about, vocabSize: 9, rows: 1, write })).close();
    const info = JSON.parse(readFileSync(`${path}.json`, 'utf8')) as object;
    for (const [version, there] of [
      [tokenFileVersion, true],
      [tokenFileVersion - 1, false],
      [undefined, false],
    ] as const) {
      writeFileSync(`${path}.json`, JSON.stringify({ ...info, version }));
      const found = await earlierTokens({ path, key: 'k', about });
      expect(found !== null).toBe(there);
      await found?.close();
    }
  });

  it('of a corpus is made again when it was damaged, as one of rows is', async () => {
    const tokenizer = await loadTokenizer(join(demo, 'teacher'));
    const path = join(folder, 'corpus');
    const made = async (): Promise<{ digest: string; written: boolean }> => {
      let written = false;
      const file = await tokeniseCorpus(join(demo, 'corpus.jsonl'), tokenizer, path, 3000, 'k', () => {
        written = true;
        return Promise.resolve();
      });
      await file.close();
      return { digest: file.sha256, written };
    };
    const { digest } = await made();
    expect(await made()).toEqual({ digest, written: false });
    const bytes = readFileSync(path);
    bytes[1234]! ^= 1;
    writeFileSync(path, bytes);
    expect(await made()).toEqual({ digest, written: true });
    truncateSync(path, 100);
    expect(await made()).toEqual({ digest, written: true });
  });
});
