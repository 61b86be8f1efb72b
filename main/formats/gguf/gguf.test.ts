import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gguf } from '@huggingface/gguf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeF16 } from '../half-precision.ts';
import { hasSharedData, sharedData } from '../../testing/shared-data.ts';
import { loadTokenizer } from '../tokenizers/index.ts';
import { unpackI2sBlocks } from './i2s.ts';
import golden from './golden/values.json' with { type: 'json' };
import q2 from './golden/q2.json' with { type: 'json' };
import { dequantiseBlocks } from './quantised.ts';
import { tensorTypeByName } from './tensor-types.ts';
import {
  bool,
  float32,
  type GgufMetadata,
  type GgufTensorToWrite,
  int32s,
  openGguf,
  packI2s,
  packQ2,
  packQ8,
  packTq1,
  packTq2,
  string,
  strings,
  tokenizerMetadata,
  uint32,
  writeGguf,
} from './index.ts';

const reference = path.join(import.meta.dirname, 'golden', 'reference.gguf');
const ternary = Float32Array.from(golden.ternary);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tritsmith-gguf-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('openGguf on a file of the reference writer', () => {
  it('reads metadata of every type', async () => {
    const file = await openGguf(reference);
    const value = (key: string) => file.metadata.get(key)?.value;
    expect(value('general.architecture')).toBe('llama');
    expect(value('all.uint8')).toBe(200);
    expect(value('all.int8')).toBe(-100);
    expect(value('all.uint16')).toBe(60_000);
    expect(value('all.int16')).toBe(-30_000);
    expect(value('all.uint32')).toBe(4_000_000_000);
    expect(value('all.int32')).toBe(-2_000_000_000);
    expect(value('all.uint64')).toBe(2n ** 63n);
    expect(value('all.int64')).toBe(-(2 ** 52));
    expect(value('all.float32')).toBe(1.5);
    expect(value('all.float64')).toBe(0.1);
    expect(value('all.bool')).toBe(true);
    expect(value('all.string')).toBe('größer ▁');
    expect(value('all.strings')).toEqual(['', 'a', 'Ġb']);
    expect(value('all.int32s')).toEqual([1, -2, 3]);
    expect(value('all.float32s')).toEqual([0.5, -0.25]);
    await file.close();
  });

  it.each(Object.entries(golden.expected))('dequantises %s as the reference does', async (name, expected) => {
    const file = await openGguf(reference);
    const values = await file.readFloat32(name);
    expect(values).toHaveLength(expected.length);
    values.forEach((value, i) => expect(value).toBe(Math.fround(expected[i]!)));
    await file.close();
  });
});

describe('packing', () => {
  it('gives the bytes of the reference for I2_S, TQ2_0, TQ1_0 and Q8_0', async () => {
    expect(hex(packI2s(ternary, 4, 512, 0.0173))).toBe(golden.packed.I2_S);
    expect(hex(packI2s(Int8Array.from(golden.ternary), 4, 512, 0.0173))).toBe(golden.packed.I2_S);
    expect(hex(packTq2(ternary))).toBe(golden.packed.TQ2_0);
    expect(hex(packTq1(ternary))).toBe(golden.packed.TQ1_0);
    const file = await openGguf(reference);
    expect(hex(packQ8(await file.readFloat32('f32')))).toBe(golden.packed.Q8_0);
    await file.close();
  });

  it('gives the bytes of ggml itself for Q2_0, and reads its blocks as ggml does', () => {
    expect(hex(packQ2(Int8Array.from(q2.ternary)))).toBe(q2.packed['1']);
    expect(hex(packQ2(Float32Array.from(q2.ternary), 0.75))).toBe(q2.packed['0.75']);
    const values = new Float32Array(6 * 64);
    dequantiseBlocks(tensorTypeByName('Q2_0'), Uint8Array.from(Buffer.from(q2.foreign, 'hex')), values);
    expect(hex(new Uint8Array(values.buffer))).toBe(q2.values);
  });

  it('brings I2_S back exactly, and reads code 3 as 0', () => {
    const back = new Int8Array(2048);
    unpackI2sBlocks(packI2s(ternary, 4, 512, 0.0173).subarray(0, 512), back);
    expect([...back]).toEqual(golden.ternary);
    const codesOfThree = new Int8Array(128).fill(1);
    unpackI2sBlocks(new Uint8Array(32).fill(0xff), codesOfThree);
    expect([...codesOfThree]).toEqual(Array(128).fill(0));
  });

  it('refuses shapes and values that a type cannot hold', () => {
    expect(() => packI2s(new Float32Array(4 * 96), 4, 96, 1)).toThrow(
      expect.objectContaining({
        code: 'unsupported',
        reason: expect.stringMatching(/multiple of 128.*has 96/) as string,
      }),
    );
    expect(() => packI2s(new Float32Array(2 * 128), 2, 128, 1)).toThrow(
      expect.objectContaining({ code: 'unsupported', reason: expect.stringMatching(/four rows/) as string }),
    );
    expect(() => packI2s(new Float32Array(512).fill(0.5), 4, 128, 1)).toThrow(/not ternary/);
    expect(() => packI2s(new Float32Array(512).fill(NaN), 4, 128, 1)).toThrow(/not ternary/);
    expect(() => packTq2(new Float32Array(128))).toThrow(/TQ2_0/);
    expect(() => packQ2(new Float32Array(32))).toThrow(/Q2_0/);
    expect(() => packQ2(new Float32Array(64).fill(2))).toThrow(/not ternary/);
    expect(() => packTq1(new Float32Array(256).fill(2))).toThrow(/not ternary/);
    expect(() => packQ8(new Float32Array(31))).toThrow(/Q8_0/);
  });
});

const metadata: GgufMetadata = new Map([
  ['general.architecture', string('bitnet')],
  ['bitnet.block_count', uint32(2)],
  ['bitnet.rope.freq_base', float32(10_000)],
  ['tokenizer.ggml.tokens', strings(['a', 'ß', ''])],
  ['nested', { type: 'array', items: 'array', value: [{ type: 'array', items: 'bool', value: [true, false] }] }],
  ['flag', bool(false)],
]);
const norm = Float32Array.of(1, 0.5, -2);
const tensors = (): GgufTensorToWrite[] => [
  { name: 'output_norm.weight', type: 'F32', shape: [3], data: () => norm },
  { name: 'token_embd.weight', type: 'F16', shape: [2, 5], data: () => encodeF16(new Float32Array(10).fill(0.25)) },
  { name: 'blk.0.attn_q.weight', type: 'I2_S', shape: [4, 512], data: () => packI2s(ternary, 4, 512, 0.5) },
  { name: 'blk.0.ffn_up.weight', type: 'TQ2_0', shape: [4, 512], data: () => Promise.resolve(packTq2(ternary)) },
];

describe('writeGguf', () => {
  it("writes what openGguf and Hugging Face's reader read back", async () => {
    const target = path.join(folder, 'model.gguf');
    await writeGguf(target, metadata, tensors());
    const file = await openGguf(target);
    expect([...file.metadata]).toEqual([...metadata]);
    expect([...file.tensors.keys()]).toEqual(tensors().map(({ name }) => name));
    expect(file.tensors.get('token_embd.weight')).toMatchObject({ type: 'F16', shape: [2, 5], count: 10, bytes: 20 });
    for (const { begin } of file.tensors.values()) expect(begin % 32).toBe(0);
    expect([...(await file.readFloat32('output_norm.weight'))]).toEqual([...norm]);
    expect([...(await file.readFloat32('blk.0.attn_q.weight'))]).toEqual(golden.ternary.map((value) => value * 0.5));
    expect([...(await file.readFloat32('blk.0.ffn_up.weight'))]).toEqual(golden.ternary);
    expect(hex(await file.readBytes('blk.0.ffn_up.weight'))).toBe(golden.packed.TQ2_0);
    await expect(file.readFloat32('nothing')).rejects.toMatchObject({ code: 'not-found' });
    await expect(file.readFloat32('output_norm.weight', new Float32Array(2))).rejects.toMatchObject({
      code: 'bad-input',
    });
    await file.close();

    const peer = await gguf(target, { allowLocalFile: true });
    expect(peer.metadata).toMatchObject({
      version: 3,
      tensor_count: 4n,
      'bitnet.block_count': 2,
      'tokenizer.ggml.tokens': ['a', 'ß', ''],
    });
    expect(peer.tensorInfos.map(({ name, shape, dtype }) => [name, shape.map(Number), Number(dtype)])).toEqual([
      ['output_norm.weight', [3], 0],
      ['token_embd.weight', [5, 2], 1],
      ['blk.0.attn_q.weight', [512, 4], 36],
      ['blk.0.ffn_up.weight', [512, 4], 35],
    ]);
  });

  it('writes metadata of many kilobytes', async () => {
    const target = path.join(folder, 'large.gguf');
    const tokens = Array.from({ length: 30_000 }, (_, i) => 'x'.repeat(i % 23));
    const numbers = Array.from({ length: 30_001 }, (_, i) => i);
    await writeGguf(
      target,
      new Map([
        ['tokens', strings(tokens)],
        ['numbers', int32s(numbers)],
      ]),
      [],
    );
    const file = await openGguf(target);
    expect(file.metadata.get('tokens')?.value).toEqual(tokens);
    expect(file.metadata.get('numbers')?.value).toEqual(numbers);
    await file.close();
  });

  it('leaves nothing when a tensor fails', async () => {
    const target = path.join(folder, 'failing.gguf');
    const short: GgufTensorToWrite = { name: 'x', type: 'F32', shape: [2], data: () => new Float32Array(1) };
    await expect(writeGguf(target, metadata, [short])).rejects.toMatchObject({ message: /4 bytes instead of 8/ });
    const narrow: GgufTensorToWrite = { name: 'x', type: 'I2_S', shape: [4, 96], data: () => new Uint8Array() };
    await expect(writeGguf(target, metadata, [narrow])).rejects.toMatchObject({ code: 'unsupported' });
    const wrong = new Map([['x', uint32(-1)]]);
    await expect(writeGguf(target, wrong, [])).rejects.toMatchObject({ message: /metadata/ });
    expect((await readdir(folder)).filter((name) => name.includes('failing'))).toEqual([]);
  });
});

describe('a damaged GGUF file', () => {
  const damage = async (at: number, write: (view: DataView) => void) => {
    const bytes = await readFile(reference);
    write(new DataView(bytes.buffer, bytes.byteOffset + at));
    const file = path.join(folder, 'damaged.gguf');
    await writeFile(file, bytes);
    return openGguf(file);
  };

  it.each<[string, number, (view: DataView) => void, RegExp]>([
    ['another magic number', 0, (view) => view.setUint32(0, 0), /GGUF/],
    ['2^62 tensors', 8, (view) => view.setBigUint64(0, 1n << 62n, true), /more than the file can hold/],
    ['2^40 keys', 16, (view) => view.setBigUint64(0, 1n << 40n, true), /more than the file can hold/],
    ['a key of 2^60 bytes', 24, (view) => view.setBigUint64(0, 1n << 60n, true), /more than the file can hold/],
    ['an unknown value type', 24 + 8 + 20, (view) => view.setUint32(0, 77, true), /impossible type 77/],
  ])('with %s is refused', async (_, at, write, words) => {
    await expect(damage(at, write)).rejects.toMatchObject({
      name: 'TritsmithError',
      code: 'damaged',
      reason: expect.stringMatching(words) as string,
    });
  });

  it('of another version, truncated or empty is refused', async () => {
    await expect(damage(4, (view) => view.setUint32(0, 0x0300_0000, true))).rejects.toMatchObject({
      code: 'unsupported',
    });
    const bytes = await readFile(reference);
    for (const length of [0, 3, 24, 500, bytes.length - 40]) {
      const file = path.join(folder, 'short.gguf');
      await writeFile(file, bytes.subarray(0, length));
      await expect(openGguf(file)).rejects.toMatchObject({ code: 'damaged' });
    }
  });
});

describe.skipIf(!hasSharedData)('tokenizerMetadata', () => {
  it('of Qwen2 has pre "qwen2", merges, types and padding up to the embedding', async () => {
    const { entries, warnings } = await tokenizerMetadata(sharedData('tokenizers/qwen2-0.5b'), 151_936);
    const value = (key: string) => entries.get(`tokenizer.ggml.${key}`)?.value as unknown[];
    expect(warnings).toEqual([]);
    expect([value('model'), value('pre')]).toEqual(['gpt2', 'qwen2']);
    expect(value('tokens')).toHaveLength(151_936);
    expect([value('tokens')[151_643], value('tokens')[151_935]]).toEqual(['<|endoftext|>', '[PAD151935]']);
    expect([0, 151_643, 151_646].map((id) => value('token_type')[id])).toEqual([1, 3, 5]);
    expect(value('merges')).toHaveLength(151_387);
    expect(value('merges')[0]).toBe('Ġ Ġ');
    expect([value('eos_token_id'), value('bos_token_id'), value('add_bos_token')]).toEqual([151_643, undefined, false]);
    expect(entries.get('tokenizer.chat_template')?.value).toMatch(/im_start/);
  });

  it('of GPT-2 has pre "gpt-2"', async () => {
    const { entries } = await tokenizerMetadata(sharedData('tokenizers/gpt2-hf'));
    expect(entries.get('tokenizer.ggml.pre')?.value).toBe('gpt-2');
    expect(entries.get('tokenizer.ggml.merges')?.value).toHaveLength(50_000);
  });

  it('of story-656k is SentencePiece-like with scores in the order of merges, and says where llama.cpp differs', async () => {
    const { entries, warnings } = await tokenizerMetadata(sharedData('models/story-656k'));
    const value = (key: string) => entries.get(`tokenizer.ggml.${key}`)?.value as unknown[];
    expect([value('model'), value('pre'), value('add_space_prefix'), value('add_bos_token')]).toEqual([
      'llama',
      'default',
      true,
      true,
    ]);
    const tokens = value('tokens');
    expect(value('scores')[tokens.indexOf('e▁')]).toBe(-1);
    expect(value('scores')[tokens.indexOf('th')]).toBe(-3);
    expect([0, 1, 3].map((id) => value('token_type')[id])).toEqual([2, 3, 1]);
    expect(warnings.map(({ id }) => id)).toContain('note.no-byte-tokens');
  });

  it('refuses a way of splitting that llama.cpp does not have', async () => {
    const tokenizer = await loadTokenizer(sharedData('tokenizers/gpt2-hf'));
    const odd = {
      ...tokenizer.definition,
      preTokenizer: { type: 'Split', pattern: { Regex: '\\d' }, behavior: 'Isolated' },
    };
    await expect(tokenizerMetadata({ ...tokenizer, definition: odd })).rejects.toMatchObject({ code: 'unsupported' });
    await expect(tokenizerMetadata(tokenizer, 100)).rejects.toMatchObject({ code: 'bad-input' });
  });
});
