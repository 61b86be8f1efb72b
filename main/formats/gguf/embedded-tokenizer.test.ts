import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { hasSharedData, sharedData } from '../shared-data.ts';
import { loadTokenizer } from '../tokenizers/index.ts';
import { embeddedTokenizer, string, tokenizerMetadata, writeGguf } from './index.ts';
import type { GgufValue } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'tritsmith-embedded-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function write(name: string, entries: ReadonlyMap<string, GgufValue>): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  await writeGguf(path, new Map([['general.architecture', string('llama')], ...entries]), []);
  return path;
}

const texts = [
  'The film was  good, wasn\'t it?\n\nYes: 12345.67 times.\t"Naïve" café — 日本語のテキスト 🎬🍿',
  "e\u0301 decomposed, <|im_start|>user\nhello<|im_end|><|endoftext|> WE'LL i'm 007 ١٢٣",
  '',
  '   leading and trailing   \r\n ',
];

describe.skipIf(!hasSharedData)('the tokenizer inside a GGUF file', () => {
  it.each(['tokenizers/qwen2-0.5b', 'tokenizers/gpt2-hf'])(
    'of %s splits every text as the folder does',
    async (name) => {
      const original = await loadTokenizer(sharedData(name));
      const { entries } = await tokenizerMetadata(original, original.vocabSize + 3);
      const embedded = await embeddedTokenizer(await write(name.replace('/', '-'), entries));
      for (const text of texts) {
        const ids = original.encode(text);
        expect(embedded.encode(text)).toEqual(ids);
        expect(embedded.decode(ids)).toBe(original.decode(ids));
      }
      expect([embedded.eosId, embedded.vocabSize]).toEqual([original.eosId, original.vocabSize]);
      expect(embedded.chatTemplate).toBe(original.chatTemplate);
    },
  );

  it('is refused with a way out where its pieces are not bytes (SentencePiece), or where there is none', async () => {
    const { entries } = await tokenizerMetadata(sharedData('models/story-656k'));
    await expect(embeddedTokenizer(await write('pieces', entries))).rejects.toMatchObject({
      code: 'unsupported',
      remedy: expect.stringContaining('folder') as string,
    });
    await expect(embeddedTokenizer(await write('none', new Map()))).rejects.toMatchObject({ code: 'not-found' });
  });
});
