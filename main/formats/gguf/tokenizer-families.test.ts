import { describe, expect, it } from 'vitest';
import { TritsmithError } from '../../contract/errors.ts';
import golden from './golden/tokenizers.json' with { type: 'json' };
import {
  bool,
  float32s,
  type GgufValue,
  int32s,
  string,
  strings,
  tokenizerMetadata,
  tokenizerOfMetadata,
  uint32,
} from './index.ts';

const keys = (entries: Record<string, GgufValue>): Map<string, GgufValue> =>
  new Map(Object.entries(entries).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));

function byteLevel(pre: string, { tokens, types, merges }: { tokens: string[]; types: number[]; merges: string[] }) {
  return keys({
    model: string('gpt2'),
    pre: string(pre),
    tokens: strings(tokens),
    token_type: int32s(types),
    merges: strings(merges),
    bos_token_id: uint32(tokens.indexOf('<|im_start|>')),
    eos_token_id: uint32(tokens.indexOf('<|im_end|>')),
  });
}

/** Families that put the begin token first unless the file says otherwise. */
const addsBegin = ['llama-bpe', 'tekken'];

describe.each(Object.entries(golden.byteLevel))('a byte-level vocabulary split as %s', (pre, vocabulary) => {
  const metadata = byteLevel(pre, vocabulary);
  const tokenizer = tokenizerOfMetadata('golden.gguf', metadata);
  const cases = [...golden.texts, 'better'].map((text, i) => ({ text, ids: vocabulary.ids[i]! }));

  it('makes the ids of the reference library', () => {
    for (const { text, ids } of cases) {
      expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(ids);
      expect(tokenizer.decode(ids)).toBe(pre === 'qwen2' ? text.normalize('NFC') : text);
    }
  });

  it('has the begin token first where the family or the file wants it', () => {
    const begin = addsBegin.includes(pre) ? [tokenizer.bosId] : [];
    expect(tokenizer.encode('a')).toEqual([...begin, ...tokenizer.encode('a', { addSpecialTokens: false })]);
    for (const wanted of [true, false]) {
      const told = tokenizerOfMetadata(
        'golden.gguf',
        new Map([...metadata, ['tokenizer.ggml.add_bos_token', bool(wanted)]]),
      );
      expect(told.encode('a')[0] === told.bosId).toBe(wanted);
    }
  });

  it('is written again as what it was read from', async () => {
    const { entries, warnings } = await tokenizerMetadata(tokenizer);
    expect(warnings).toEqual([]);
    const again = tokenizerOfMetadata('again.gguf', entries);
    for (const { text, ids } of cases) expect(again.encode(text, { addSpecialTokens: false }), text).toEqual(ids);
    expect(again.sha256).toBe(tokenizer.sha256);
  });
});

describe.each(Object.entries(golden.pieces))('a SentencePiece vocabulary in the manner of %s', (name, vocabulary) => {
  const metadata = keys({
    model: string('llama'),
    pre: string('default'),
    tokens: strings(vocabulary.tokens),
    token_type: int32s(vocabulary.types),
    scores: float32s(vocabulary.scores),
    add_space_prefix: bool(vocabulary.addSpacePrefix),
  });

  it('makes the ids of SentencePiece, unknown characters as bytes', () => {
    const tokenizer = tokenizerOfMetadata('golden.gguf', metadata);
    expect([tokenizer.unkId, tokenizer.bosId, tokenizer.eosId]).toEqual([0, 1, 2]);
    for (const [i, text] of vocabulary.texts.entries()) {
      expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(vocabulary.ids[i]);
      expect(tokenizer.encode(text)).toEqual([1, ...vocabulary.ids[i]!]);
      expect(tokenizer.decode(vocabulary.ids[i]!)).toBe(text);
    }
    const bytes = vocabulary.types.flatMap((type, id) => (type === 6 ? [id] : []));
    expect(
      vocabulary.ids.flat().some((id) => bytes.includes(id)),
      name,
    ).toBe(true);
  });
});

describe('BitNet b1.58 2B4T, which is published without the name of its pre-tokenizer', () => {
  const vocabulary = golden.byteLevel['llama-bpe'];
  const whole = byteLevel('llama-bpe', vocabulary);
  /** The vocabulary with as many tokens as are wanted, and without the key. */
  const unnamed = (architecture: string, size: number): Map<string, GgufValue> => {
    const missing = size - vocabulary.tokens.length;
    const more = Array.from({ length: missing }, (_, index) => `<|reserved_${String(index)}|>`);
    const metadata = new Map<string, GgufValue>([
      ...whole,
      ['general.architecture', string(architecture)],
      ['tokenizer.ggml.tokens', strings([...vocabulary.tokens, ...more])],
      ['tokenizer.ggml.token_type', int32s([...vocabulary.types, ...more.map(() => 3)])],
    ]);
    metadata.delete('tokenizer.ggml.pre');
    return metadata;
  };

  it.each(['bitnet-b1.58', 'bitnet-25'])('%s splits as Llama 3', (architecture) => {
    const tokenizer = tokenizerOfMetadata('published.gguf', unnamed(architecture, 128_256));
    const plain = tokenizerOfMetadata('named.gguf', whole);
    for (const text of ['I have 12345 parts.\n\n  It\'s "here"', "WE'LL see 007"])
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(
        plain.encode(text, { addSpecialTokens: false }),
      );
  });

  it('no other file is guessed at', () => {
    for (const [architecture, size] of [
      ['llama', 128_256],
      ['bitnet-b1.58', 128_000],
    ] as const)
      expect(() => tokenizerOfMetadata('other.gguf', unnamed(architecture, size))).toThrow(TritsmithError);
  });
});
