import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import golden from './golden/llama.json' with { type: 'json' };
import { hasSharedData, sharedData } from '../../testing/shared-data.ts';
import type { Json } from '../../basics/bounded-json.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizers/index.ts';
import { createTokenizer } from '../tokenizers/tokenizer.ts';
import {
  embeddedTokenizer,
  type GgufValue,
  int32s,
  string,
  strings,
  tokenizerMetadata,
  uint32,
  writeGguf,
} from './index.ts';

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

  it('of Llama 2 (SentencePiece) passes all of the vectors of llama.cpp, from the GGUF file alone', async () => {
    const original = await loadTokenizer(sharedData('tokenizers/llama2'));
    const { entries, warnings } = await tokenizerMetadata(original, 32_016);
    expect(warnings).toEqual([]);
    expect(entries.has('tokenizer.ggml.merges')).toBe(false);
    const embedded = await embeddedTokenizer(await write('llama2', entries));
    const read = (end: string) =>
      readFileSync(sharedData(`tokenizers/vectors/ggml-vocab-llama-spm.gguf.${end}`), 'utf8');
    const vectors = read('inp').split('\n__ggml_vocab_test__\n');
    const expected = read('out').split('\n');
    for (const [index, text] of vectors.entries()) {
      const ids = embedded.encode(text, { addSpecialTokens: false });
      expect(ids.join(' '), JSON.stringify(text)).toBe(expected[index]!.trim());
      expect(embedded.encode(text)).toEqual([1, ...ids]);
      expect(embedded.decode(ids)).toBe(original.decode(ids));
    }
    const facts = ({ vocabSize, bosId, eosId, padId, unkId }: Tokenizer) => [vocabSize, bosId, eosId, padId, unkId];
    expect(facts(embedded)).toEqual(facts(original));
  });

  it('of Llama 2 has the keys that the converter of llama.cpp makes, and the ids of SentencePiece', async () => {
    const { entries } = await tokenizerMetadata(sharedData('tokenizers/llama2'));
    const value = <T>(key: string): T => entries.get(`tokenizer.ggml.${key}`)!.value as T;
    const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
    expect({
      count: value<string[]>('tokens').length,
      sha256: sha256(value<string[]>('tokens').join('\n')),
      scoresSha256: sha256(new Uint8Array(Float32Array.from(value<number[]>('scores')).buffer)),
      typesSha256: sha256(Uint8Array.from(value<number[]>('token_type'))),
    }).toEqual(golden.tokens);
    expect(['model', 'pre', 'add_bos_token', 'add_eos_token', 'add_space_prefix'].map(value)).toEqual([
      'llama',
      'default',
      true,
      false,
      true,
    ]);
    expect(['bos_token_id', 'eos_token_id', 'unknown_token_id'].map(value)).toEqual([1, 2, 0]);
    const { encode } = await embeddedTokenizer(await write('llama2-keys', entries));
    for (const { text, ids } of golden.texts) expect(encode(text, { addSpecialTokens: false }), text).toEqual(ids);
  });

  it('of a SentencePiece-like vocabulary that merges by pair splits as the folder does, not as llama.cpp would', async () => {
    const original = await loadTokenizer(sharedData('models/story-656k'));
    const { entries } = await tokenizerMetadata(original);
    const embedded = await embeddedTokenizer(await write('story', entries));
    for (const text of ['Once upon a time, there was a little girl.', ' two  spaces\n', 'unk: é </s> and <s>']) {
      expect(embedded.encode(text), text).toEqual(original.encode(text));
      expect(embedded.decode(embedded.encode('Once upon'), { skipSpecialTokens: true })).toBe('Once upon');
    }
  });

  it('takes a split at spaces that the normalizer has replaced (Gemma) as none, and one at spaces that stay not', async () => {
    const original = await loadTokenizer(sharedData('tokenizers/llama2'));
    const pattern = { String: ' ' };
    const split = (normalizer: Json): Tokenizer =>
      createTokenizer(
        'gemma',
        {
          ...original.definition,
          normalizer: normalizer as typeof original.definition.normalizer,
          preTokenizer: { type: 'Split', pattern, behavior: 'MergedWithPrevious', invert: false },
        },
        { bos: original.bosId, eos: original.eosId, pad: null, unk: original.unkId },
        null,
      );
    const gemma = split({ type: 'Replace', pattern, content: '▁' });
    const { entries } = await tokenizerMetadata(gemma);
    expect(entries.get('tokenizer.ggml.add_space_prefix')).toMatchObject({ value: false });
    const embedded = await embeddedTokenizer(await write('gemma', entries));
    for (const text of texts) expect(embedded.encode(text), text).toEqual(gemma.encode(text));
    await expect(tokenizerMetadata(split(null))).rejects.toMatchObject({ code: 'unsupported' });
  });

  it('puts the end token after a text where the folder does, with a warning for the programs that refuse that', async () => {
    const original = await loadTokenizer(sharedData('tokenizers/gpt2-hf'));
    const content = '<|endoftext|>';
    const special = { SpecialToken: { id: content, type_id: 0 } };
    const surrounded = (single: Json[], ids: number[]): Tokenizer =>
      createTokenizer(
        'surrounded',
        {
          ...original.definition,
          postProcessor: {
            type: 'TemplateProcessing',
            single,
            pair: [],
            special_tokens: { [content]: { id: content, ids, tokens: [content] } },
          },
        },
        { bos: null, eos: 50_256, pad: null, unk: null },
        null,
      );
    const ends = surrounded([{ Sequence: { id: 'A', type_id: 0 } }, special], [50_256]);
    const { entries, warnings } = await tokenizerMetadata(ends);
    expect(warnings).toMatchObject([
      { text: expect.stringContaining('--override-kv tokenizer.ggml.add_eos_token=bool:false') },
    ]);
    const embedded = await embeddedTokenizer(await write('ends', entries));
    expect(embedded.encode('Hello')).toEqual([15_496, 50_256]);
    expect(embedded.encode('Hello')).toEqual(ends.encode('Hello'));
    // A token before the text that is not the begin token: no key can say that.
    const begins = surrounded([special, { Sequence: { id: 'A', type_id: 0 } }], [50_256]);
    expect((await tokenizerMetadata(begins)).warnings).toMatchObject([
      { id: 'note.tokens-around-text', params: { tokens: ['<|endoftext|>'] } },
    ]);
  });

  it('is refused with a way out where it is of another kind, or where there is none', async () => {
    const entries = new Map([
      ['tokenizer.ggml.model', string('t5')],
      ['tokenizer.ggml.tokens', strings(['a', 'b'])],
    ]);
    await expect(embeddedTokenizer(await write('pieces', entries))).rejects.toMatchObject({
      code: 'unsupported',
      remedy: expect.stringContaining('folder') as string,
    });
    await expect(embeddedTokenizer(await write('none', new Map()))).rejects.toMatchObject({ code: 'not-found' });
  });

  it.each<[string, string[], number[]]>([
    ['two tokens of the same text', ['<unk>', 'a', 'a'], [2, 1, 1]],
    ['a token of a thousand characters', ['<unk>', 'a'.repeat(1000)], [2, 1]],
  ])('is refused as damaged with %s', async (_title, tokens, types) => {
    const entries = new Map<string, GgufValue>([
      ['tokenizer.ggml.model', string('llama')],
      ['tokenizer.ggml.tokens', strings(tokens)],
      ['tokenizer.ggml.token_type', int32s(types)],
      ['tokenizer.ggml.bos_token_id', uint32(7)],
    ]);
    await expect(embeddedTokenizer(await write('damaged', entries))).rejects.toMatchObject({ code: 'damaged' });
  });
});
