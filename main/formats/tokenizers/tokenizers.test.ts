import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasSharedData, sharedData } from '../../testing/shared-data.ts';
import golden from './golden/ids.json' with { type: 'json' };
import { compileTemplate, loadTokenizer, type Tokenizer } from './index.ts';
import { cutAtLines, cutAtUnjoinedPairs, joinedPairs } from './safe-cuts.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tritsmith-tokenizers-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A byte-level tokenizer of all bytes and a few merges: small enough to damage thousands of times. */
function smallTokenizer(): Record<string, unknown> {
  const characters = [...Array(256).keys()].map((byte) =>
    (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
      ? byte
      : 256 + [...Array(byte).keys()].filter((b) => !((b > 32 && b < 127) || (b > 160 && b !== 173))).length,
  );
  const vocab = Object.fromEntries(characters.map((code, id) => [String.fromCharCode(code), id]));
  const merges = ['h e', 'l l', 'he ll', 'hell o', 'Ġ w'];
  merges.forEach((merge, i) => (vocab[merge.replace(' ', '')] = 256 + i));
  return {
    version: '1.0',
    added_tokens: [{ id: 261, content: '<s>', special: true, normalized: false }],
    normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }] },
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', unk_token: null, vocab, merges },
  };
}

async function folderWith(name: string, tokenizer: unknown, config?: object): Promise<string> {
  const target = path.join(folder, name);
  await mkdir(target, { recursive: true });
  const text = tokenizer instanceof Uint8Array ? tokenizer : JSON.stringify(tokenizer);
  await writeFile(path.join(target, 'tokenizer.json'), text);
  if (config) await writeFile(path.join(target, 'tokenizer_config.json'), JSON.stringify(config));
  return target;
}

describe.skipIf(!hasSharedData)('real tokenizers', () => {
  const tokenizers = new Map<string, Tokenizer>();
  beforeAll(async () => {
    tokenizers.set('qwen2', await loadTokenizer(sharedData('tokenizers/qwen2-0.5b'), { vocabSize: 151_936 }));
    tokenizers.set('gpt2', await loadTokenizer(sharedData('tokenizers/gpt2-hf')));
    tokenizers.set('llama2', await loadTokenizer(sharedData('tokenizers/llama2'), { vocabSize: 32_000 }));
    tokenizers.set('story', await loadTokenizer(sharedData('models/story-656k'), { vocabSize: 2048 }));
  });

  it.each([
    ['qwen2', 'qwen2'],
    ['gpt2', 'gpt-2'],
    ['llama2', 'llama-spm'],
  ])("%s passes all of llama.cpp's vectors", async (name, file) => {
    const read = (end: string) => readFile(sharedData(`tokenizers/vectors/ggml-vocab-${file}.gguf.${end}`), 'utf8');
    const texts = (await read('inp')).split('\n__ggml_vocab_test__\n');
    const expected = (await read('out')).split('\n');
    expect(texts).toHaveLength(47);
    texts.forEach((text, i) => {
      const ids = tokenizers.get(name)!.encode(text, { addSpecialTokens: false });
      expect(ids.join(' '), JSON.stringify(text)).toBe(expected[i]!.trim());
      if (name === 'llama2') expect(tokenizers.get(name)!.decode([1, ...ids])).toBe(`<s>${text && ' '}${text}`);
    });
  });

  it.each(['story', 'gpt2', 'qwen2'] as const)('%s encodes and decodes as the reference library does', (name) => {
    const tokenizer = tokenizers.get(name)!;
    for (const { text, ids, bare, decoded, stripped } of golden[name]) {
      expect(tokenizer.encode(text), text).toEqual(ids);
      expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(bare);
      // The reference writes story-656k's special tokens with the space of the normalizer and never leaves them out.
      if (name === 'story' && ids.slice(1).some((id) => id < 3)) continue;
      expect(tokenizer.decode(ids), text).toBe(decoded);
      if (name !== 'story') expect(tokenizer.decode(ids, { skipSpecialTokens: true }), text).toBe(stripped);
    }
  });

  it('knows sizes and special tokens', () => {
    const facts = ({ vocabSize, bosId, eosId, padId, unkId }: Tokenizer) => [vocabSize, bosId, eosId, padId, unkId];
    expect(facts(tokenizers.get('qwen2')!)).toEqual([151_646, null, 151_643, 151_643, null]);
    expect(facts(tokenizers.get('story')!)).toEqual([2048, 1, 2, 0, 0]);
    expect(facts(tokenizers.get('llama2')!)).toEqual([32_000, 1, 2, null, 0]);
    expect(facts(tokenizers.get('gpt2')!)).toEqual([50_257, null, null, null, null]);
    expect(tokenizers.get('qwen2')!.idToToken(151_645)).toBe('<|im_end|>');
    expect(tokenizers.get('qwen2')!.tokenToId('<|im_end|>')).toBe(151_645);
    expect(tokenizers.get('qwen2')!.tokenToId('constructor ')).toBeNull();
    expect(tokenizers.get('story')!.decode([1, 80, 147, 201, 2], { skipSpecialTokens: true })).toBe('Once ');
    expect(tokenizers.get('qwen2')!.decode([9707, 151_900, -1, 1.5])).toBe('Hello');
  });

  it('encodes a long text cut at lines to the ids of the uncut text', async () => {
    const novel = (await readFile(sharedData('corpus/novels/Burnett_Lord_1886.txt'), 'utf8')).replaceAll('\r', '');
    const text = novel + novel;
    expect(cutAtLines(text).length).toBeGreaterThan(1);
    for (const name of ['gpt2', 'qwen2']) {
      const tokenizer = tokenizers.get(name)!;
      const half = text.indexOf('\n“', 300_000) + 1;
      expect(tokenizer.encode(text)).toEqual([
        ...tokenizer.encode(text.slice(0, half)),
        ...tokenizer.encode(text.slice(half)),
      ]);
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.normalize('NFC'));
    }
  });

  it('keeps the digest in another file format and tells tokenizers apart', async () => {
    const { definition, sha256 } = tokenizers.get('qwen2')!;
    const { model } = definition;
    const same = await folderWith('qwen-json', {
      normalizer: definition.normalizer,
      pre_tokenizer: definition.preTokenizer,
      decoder: definition.decoder,
      added_tokens: definition.addedTokens,
      model: { type: 'BPE', vocab: model.vocab, merges: model.merges.map((pair) => pair.join(' ')) },
    });
    expect((await loadTokenizer(same)).sha256).toBe(sha256);
    expect(tokenizers.get('gpt2')!.sha256).not.toBe(sha256);
  });

  it('refuses a tokenizer with more ids than the model', async () => {
    await expect(loadTokenizer(sharedData('models/story-656k'), { vocabSize: 2047 })).rejects.toMatchObject({
      code: 'bad-input',
      reason: expect.stringMatching(/2047.*2047 entries/) as string,
    });
  });

  it('refuses vocab.json and merges.txt of an unknown family', async () => {
    const unknown = path.join(folder, 'unknown');
    await mkdir(unknown);
    for (const name of ['vocab.json', 'merges.txt'])
      await copyFile(sharedData('tokenizers/qwen2-0.5b', name), path.join(unknown, name));
    await expect(loadTokenizer(unknown)).rejects.toMatchObject({ code: 'unsupported' });
  });
});

describe('a damaged tokenizer.json', () => {
  it('is fine undamaged', async () => {
    const tokenizer = await loadTokenizer(await folderWith('small', smallTokenizer(), { bos_token: '<s>' }));
    expect(tokenizer.encode('<s>hello w')).toEqual([261, 259, 260]);
    expect(tokenizer.decode([261, 259, 260])).toBe('<s>hello w');
    expect(tokenizer.bosId).toBe(261);
  });

  const broken = (change: (tokenizer: Record<string, Record<string, unknown>>) => void): unknown => {
    const tokenizer = smallTokenizer() as Record<string, Record<string, unknown>>;
    change(tokenizer);
    return tokenizer;
  };
  it.each<[string, unknown, string]>([
    ['no model', {}, 'damaged'],
    ['a Unigram model', broken((t) => (t['model']!['type'] = 'Unigram')), 'unsupported'],
    ['two tokens with one id', broken((t) => ((t['model']!['vocab'] as Record<string, number>)['he'] = 1)), 'damaged'],
    ['a huge id', broken((t) => ((t['model']!['vocab'] as Record<string, number>)['he'] = 4e9)), 'damaged'],
    ['a merge of unknown tokens', broken((t) => (t['model']!['merges'] = ['x yz'])), 'damaged'],
    ['a merge of one token', broken((t) => (t['model']!['merges'] = ['x'])), 'damaged'],
    [
      'an added token on a taken id',
      broken((t) => Object.assign(t, { added_tokens: [{ id: 3, content: 'new' }] })),
      'damaged',
    ],
    [
      'an unknown pre-tokenizer',
      broken((t) => (t['pre_tokenizer'] = { type: 'FixedLength', length: 0 })),
      'unsupported',
    ],
    [
      'a pattern that is none',
      broken((t) => (t['pre_tokenizer'] = { type: 'Split', pattern: { Regex: '(' } })),
      'damaged',
    ],
    ['an unknown unk token', broken((t) => (t['model']!['unk_token'] = '<unknown>')), 'damaged'],
  ])('is refused with %s', async (_, tokenizer, code) => {
    await expect(loadTokenizer(await folderWith('broken', tokenizer))).rejects.toMatchObject({
      name: 'TritsmithError',
      code,
    });
  });

  it('says what a folder without a tokenizer lacks', async () => {
    await expect(loadTokenizer(path.join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('safe cuts', () => {
  it('cut only between characters that no token joins, and lose nothing', () => {
    const pairs = joinedPairs(['the', '▁th', '🦙!', 'e']);
    expect(cutAtUnjoinedPairs('▁the🦙!🦙e', pairs)).toEqual(['▁the', '🦙!', '🦙', 'e']);
    expect(cutAtUnjoinedPairs('', pairs)).toEqual([]);
    const text = 'line\n\n  indented\nnext'.repeat(40_000);
    const pieces = cutAtLines(text);
    expect(pieces.join('')).toBe(text);
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.slice(1).every((piece) => piece.startsWith('n'))).toBe(true);
  });
});

describe('compileTemplate', () => {
  const rendered = async (source: string, row: Readonly<Record<string, string>>): Promise<string> =>
    (await compileTemplate(source))(row);

  it('fills in columns and does not run what they contain', async () => {
    const render = await compileTemplate('{{ a }}|{{ row["b c"] }}{% for i in range(3) %}{{ i }}{% endfor %}');
    expect(await render({ a: '{{ b }}', 'b c': 'y' })).toBe('{{ b }}|y012');
    expect(await rendered('{{ row.range }}{{ row.true }}{{ true }}', { range: 'x', true: 'y' })).toBe('xytrue');
    expect(await rendered('{{ constructor }}{{ __proto__ }}', {})).toBe('');
  });

  it.each(['{{ a', '{% if %}', '{% for x in a %}', '{{ a | nosuchfilter }}', '{{ range(1000000000) | length }}'])(
    'refuses %s',
    async (source) => {
      await expect(rendered(source, { a: 'x' })).rejects.toMatchObject({ code: 'bad-input' });
    },
  );

  it('refuses output without bound and recursion without end', async () => {
    const doubled = '{% set x = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}{{ x ~ x ~ x ~ x ~ x ~ x ~ x ~ x }}';
    await expect(rendered(doubled, { a: 'x'.repeat(100_000) })).rejects.toThrow(/can't be rendered/);
    await expect(rendered('{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', {})).rejects.toThrow(/can't be rendered/);
  });
});
