import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer } from './index.ts';
import { sentencePieceFile, smallSentencePieceModel } from './fixtures/sentencepiece-file.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'tritsmith-sentencepiece-'));
});
afterAll(() => rm(root, { recursive: true }));

let folders = 0;
async function folderWith(model: Uint8Array, config?: object): Promise<string> {
  const folder = path.join(root, String(folders++));
  await mkdir(folder);
  await writeFile(path.join(folder, 'tokenizer.model'), model);
  if (config) await writeFile(path.join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  return folder;
}
const load = async (model: Uint8Array, config?: object) => loadTokenizer(await folderWith(model, config));

/** Ids of the small model: 4 + byte, then its pieces. */
const byte = (value: number) => 4 + value;
const [he, hello, space, h] = [260, 264, 265, 266];

describe('a folder with tokenizer.model alone', () => {
  it('merges by score, marks spaces, falls back to bytes, puts begin-of-text before', async () => {
    const tokenizer = await load(smallSentencePieceModel());
    expect(tokenizer.encode('hello')).toEqual([1, hello]);
    expect(tokenizer.encode('hello', { addSpecialTokens: false })).toEqual([hello]);
    expect(tokenizer.encode(' h  he', { addSpecialTokens: false })).toEqual([space, space, h, space, 262]);
    expect(tokenizer.encode('é', { addSpecialTokens: false })).toEqual([space, byte(0xc3), byte(0xa9)]);
    expect(tokenizer.decode([1, space, byte(0xc3), byte(0xa9)], { skipSpecialTokens: true })).toBe('é');
    expect(tokenizer.encode('')).toEqual([1]);
  });

  it('knows special and user-defined tokens, scores and types', async () => {
    const { definition, ...tokenizer } = await load(smallSentencePieceModel());
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId, tokenizer.unkId]).toEqual([1, 2, null, 0]);
    expect(tokenizer.vocabSize).toBe(270);
    expect(definition.scores!.slice(259)).toEqual([0, -0, -1, -2, -3, -4, -5, -6, -7, -8, -9]);
    expect(definition.tokenTypes!.slice(0, 5)).toEqual([2, 3, 3, 4, 6]);
    expect(definition.tokenTypes!.at(-1)).toBe(1);
    expect(tokenizer.encode('</s><tool>', { addSpecialTokens: false })).toEqual([2, 3]);
  });

  it('follows tokenizer_config.json', async () => {
    const config = {
      add_bos_token: false,
      add_eos_token: true,
      pad_token: '<pad>',
      added_tokens_decoder: { '270': { content: '<pad>', special: true } },
    };
    const tokenizer = await load(smallSentencePieceModel(), config);
    expect(tokenizer.encode('hello')).toEqual([hello, 2]);
    expect([tokenizer.padId, tokenizer.vocabSize]).toEqual([270, 271]);
  });

  it('leaves out the prefix and extra spaces where the model says so', async () => {
    const bare = await load(smallSentencePieceModel({}, { 3: 0 }));
    expect(bare.encode('he', { addSpecialTokens: false })).toEqual([he]);
    const trimmed = await load(smallSentencePieceModel({}, { 4: 1 }));
    expect(trimmed.encode('  hello   h ', { addSpecialTokens: false })).toEqual([hello, space, h]);
  });

  it.each<[string, Uint8Array, string]>([
    ['a unigram model', smallSentencePieceModel({ 3: 1 }), 'unsupported'],
    ['a table of characters', smallSentencePieceModel({}, { 2: 'table' }), 'unsupported'],
    ['spaces behind words', smallSentencePieceModel({ 24: 1 }), 'unsupported'],
    ['an unknown kind', smallSentencePieceModel({ 3: 9 }), 'damaged'],
    ['nothing', new Uint8Array(), 'damaged'],
    ['a length beyond the file', Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0x7f), 'damaged'],
    ['half of it', smallSentencePieceModel().subarray(0, 1000), 'damaged'],
    [
      'a piece twice',
      sentencePieceFile(
        [
          { text: 'a', score: 0, type: 2 },
          { text: 'a', score: 0, type: 1 },
        ],
        { 3: 2 },
        {},
      ),
      'damaged',
    ],
    [
      'a piece of a million characters',
      sentencePieceFile(
        [
          { text: '<unk>', score: 0, type: 2 },
          { text: 'a'.repeat(1e6), score: 0, type: 1 },
        ],
        { 3: 2 },
        {},
      ),
      'damaged',
    ],
  ])('is refused with %s', async (_, model, code) => {
    await expect(load(model)).rejects.toMatchObject({ name: 'TritsmithError', code });
  });
});
