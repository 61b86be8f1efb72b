import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TritsmithError } from '../../contract/errors.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import { encodeBf16, encodeF16 } from '../half-precision.ts';
import { hasSharedData, sharedData } from '../../testing/shared-data.ts';
import golden from './golden/values.json' with { type: 'json' };
import { assertFinite, openCheckpoint, openSafetensors, type TensorToWrite, writeSafetensors } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tritsmith-safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

const smallFile = Buffer.from(golden.small.file, 'base64');

function fileOf(header: object | string, data = new Uint8Array()): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}

async function saved(name: string, bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, bytes);
  return file;
}

const refusal = (code: string, words: RegExp) =>
  expect.objectContaining({ name: 'TritsmithError', code, reason: expect.stringMatching(words) as string });

describe('openSafetensors', () => {
  it('reads F16, BF16, F32 and F64 as the reference library does', async () => {
    const file = await openSafetensors(await saved('small.safetensors', smallFile));
    expect(file.metadata).toEqual({ format: 'pt' });
    expect([...(await file.readFloat32('half'))]).toEqual(golden.small.half);
    expect([...(await file.readFloat32('brain'))]).toEqual(golden.small.brain);
    expect([...(await file.readFloat32('single'))]).toEqual(golden.small.single);
    expect([...(await file.readFloat32('double'))]).toEqual(golden.small.single);
    const out = new Float32Array(15);
    expect(await file.readFloat32('half', out)).toBe(out);
    await expect(file.readFloat32('half', new Float32Array(14))).rejects.toMatchObject({ code: 'bad-input' });
    await expect(file.readFloat32('nothing')).rejects.toMatchObject({ code: 'not-found' });
    expect(await file.readBytes('single', 4, 8)).toHaveLength(4);
    await file.close();
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(), /only 0 bytes/],
    ['a header longer than the file', fileOf('{}').subarray(0, 9), /claims a header of 2 bytes/],
    ['a header length of 2^63', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 128, 123, 125), /9223372036854775808/],
    ['no JSON', fileOf('{"a'), /not valid JSON/],
    ['an array', fileOf('[1]'), /begin with/],
    ['deep nesting', fileOf(`{"a":${'['.repeat(5000)}`), /deeper than 4/],
    ['a truncated tensor', smallFile.subarray(0, smallFile.length - 1), /bytes of data/],
    ['bytes that belong to nothing', Buffer.concat([smallFile, Buffer.alloc(3)]), /3 bytes at its end/],
    ['a negative dimension', fileOf({ a: { dtype: 'F32', shape: [-1], data_offsets: [0, 0] } }), /impossible shape/],
    [
      'a shape that overflows',
      fileOf({ a: { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 0] } }),
      /does not fit/,
    ],
    [
      'a shape that disagrees with the bytes',
      fileOf({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } }, new Uint8Array(4)),
      /does not fit its 4 bytes/,
    ],
    [
      'overlapping tensors',
      fileOf(
        { a: { dtype: 'U8', shape: [4], data_offsets: [0, 4] }, b: { dtype: 'U8', shape: [4], data_offsets: [2, 6] } },
        new Uint8Array(6),
      ),
      /overlaps/,
    ],
    [
      'a name that is there twice',
      fileOf(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}',
        new Uint8Array(4),
      ),
      /there twice/,
    ],
    ['metadata that is no text', fileOf({ __metadata__: { a: 1 } }), /metadata/],
  ])('refuses %s', async (_, bytes, words) => {
    await expect(openSafetensors(await saved('lying.safetensors', bytes))).rejects.toEqual(refusal('damaged', words));
  });

  it('names an unknown dtype and a missing file', async () => {
    const lying = await saved('dtype.safetensors', fileOf({ a: { dtype: 'Q7', shape: [], data_offsets: [0, 0] } }));
    await expect(openSafetensors(lying)).rejects.toMatchObject({ code: 'unsupported' });
    await expect(openSafetensors(path.join(folder, 'absent'))).rejects.toMatchObject({ code: 'not-found' });
    await expect(openSafetensors(folder)).rejects.toBeInstanceOf(TritsmithError);
  });

  it('takes names such as __proto__ as names', async () => {
    const bytes = fileOf('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', Uint8Array.of(7));
    const file = await openSafetensors(await saved('proto.safetensors', bytes));
    expect([...file.tensors.keys()]).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['dtype']).toBeUndefined();
    await file.close();
  });
});

describe.skipIf(!hasSharedData)('openCheckpoint on real models', () => {
  it.each(['fixtures/tiny_qwen3', 'fixtures/tiny_llama3', 'models/story-656k'] as const)(
    '%s has the values that the reference library reads',
    async (model) => {
      const checkpoint = await openCheckpoint(sharedData(model));
      for (const [name, expected] of Object.entries(golden[model])) {
        const values = await checkpoint.readFloat32(name);
        assertFinite(name, values);
        expect(checkpoint.shape(name)).toEqual(expected.shape);
        expect([...values.subarray(0, 4)]).toEqual(expected.first);
        expect(values.at(-1)).toBe(expected.last);
        let sum = 0;
        let squares = 0;
        for (const value of values) {
          sum += value;
          squares += value * value;
        }
        expect(sum).toBeCloseTo(expected.sum, 8);
        expect(squares).toBeCloseTo(expected.squares, 8);
      }
      await checkpoint.close();
    },
  );

  it('follows the alias of tied weights in story-656k', async () => {
    const checkpoint = await openCheckpoint(sharedData('models/story-656k'));
    const alias = 'model.embed_tokens.weight';
    expect(checkpoint.has(alias)).toBe(true);
    expect(checkpoint.aliasOf(alias)).toBe('lm_head.weight');
    expect(checkpoint.aliasOf('lm_head.weight')).toBeNull();
    expect(checkpoint.has('format')).toBe(false);
    expect(checkpoint.names()).toContain(alias);
    expect(checkpoint.shape(alias)).toEqual([2048, 128]);
    expect(await checkpoint.readFloat32(alias)).toEqual(await checkpoint.readFloat32('lm_head.weight'));
    await checkpoint.close();
  });
});

describe('openCheckpoint on shards', () => {
  const tensor = (name: string, values: number[]): TensorToWrite => ({
    name,
    dtype: 'F32',
    shape: [values.length],
    data: () => Float32Array.from(values),
  });

  async function shards(name: string, weightMap: Record<string, unknown>): Promise<string> {
    const model = path.join(folder, name);
    await mkdir(model, { recursive: true });
    await writeSafetensors(path.join(model, 'one.safetensors'), [tensor('a', [1, 2]), tensor('b', [3])]);
    await writeSafetensors(path.join(model, 'two.safetensors'), [tensor('c', [4, 5, 6])]);
    await writeFile(path.join(model, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
    return model;
  }

  it('reads each tensor from its shard', async () => {
    const checkpoint = await openCheckpoint(
      await shards('good', { a: 'one.safetensors', b: 'one.safetensors', c: 'two.safetensors' }),
    );
    expect(checkpoint.names()).toEqual(['a', 'b', 'c']);
    expect([...(await checkpoint.readFloat32('c'))]).toEqual([4, 5, 6]);
    expect(checkpoint.has('constructor')).toBe(false);
    expect(() => checkpoint.shape('toString')).toThrow(/lacks the tensor/);
    await checkpoint.close();
  });

  it.each([
    ['../two.safetensors', 'bad-input'],
    ['/etc/passwd', 'bad-input'],
    ['sub/two.safetensors', 'bad-input'],
    ['..\\two.safetensors', 'bad-input'],
    ['two.safetensors\u0000.safetensors', 'bad-input'],
    ['passwd', 'bad-input'],
    [7, 'bad-input'],
    ['three.safetensors', 'not-found'],
    ['one.safetensors', 'damaged'],
  ])('refuses an index that sends a tensor to %j', async (shard, code) => {
    await expect(openCheckpoint(await shards('bad', { a: 'one.safetensors', c: shard }))).rejects.toMatchObject({
      code,
    });
  });

  it('refuses a tensor that two shards hold, and a folder without weights', async () => {
    const model = await shards('twice', { a: 'one.safetensors', c: 'three.safetensors' });
    await writeSafetensors(path.join(model, 'three.safetensors'), [tensor('a', [0]), tensor('c', [0])]);
    await expect(openCheckpoint(model)).rejects.toMatchObject({ message: 'Tensor "a" is in two weight files.' });
    await expect(openCheckpoint(path.join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'not-found' });
    await mkdir(path.join(folder, 'pickle'));
    await writeFile(path.join(folder, 'pickle', 'pytorch_model.bin'), '');
    await expect(openCheckpoint(path.join(folder, 'pickle'))).rejects.toMatchObject({
      code: 'unsupported',
      id: 'weights.pickled',
      params: { name: 'pytorch_model.bin' },
    });
    await rm(path.join(folder, 'pickle', 'pytorch_model.bin'));
    await writeFile(path.join(folder, 'pickle', 'model.onnx'), '');
    await expect(openCheckpoint(path.join(folder, 'pickle'))).rejects.toEqual(refusal('not-found', /model.onnx/));
  });
});

describe('assertFinite', () => {
  it('counts NaN and infinities and names the first', () => {
    expect(() => assertFinite('w', Float32Array.of(1, -2, 0))).not.toThrow();
    expect(() => assertFinite('w', Float32Array.of(1, Infinity, NaN))).toThrow(
      expect.objectContaining({ code: 'damaged', reason: expect.stringMatching(/Infinity at index 1 of 3/) as string }),
    );
  });
});

describe('writeSafetensors', () => {
  it('writes what it reads back, aligned, in every dtype', async () => {
    const file = path.join(folder, 'written.safetensors');
    const values = Float32Array.of(1.5, -2.25, 1e-8, 65_504);
    await writeSafetensors(
      file,
      [
        { name: 'bytes', dtype: 'U8', shape: [3], data: () => Uint8Array.of(1, 2, 3) },
        { name: 'half', dtype: 'F16', shape: [2, 2], data: () => encodeF16(values) },
        { name: 'brain', dtype: 'BF16', shape: [4], data: () => Promise.resolve(encodeBf16(values)) },
        { name: 'whole', dtype: 'F32', shape: [4, 1], data: () => values },
        { name: 'numbers', dtype: 'I32', shape: [], data: () => Int32Array.of(-7) },
      ],
      { format: 'pt', note: 'ä' },
    );
    const opened = await openSafetensors(file);
    expect(opened.metadata).toEqual({ format: 'pt', note: 'ä' });
    expect([...(await opened.readFloat32('whole'))]).toEqual([...values]);
    expect([...(await opened.readFloat32('half'))]).toEqual([1.5, -2.25, 0, 65_504]);
    expect([...(await opened.readFloat32('brain'))]).toEqual([1.5, -2.25, 1.0011717677116394e-8, 65_536]);
    expect([...(await opened.readBytes('bytes'))]).toEqual([1, 2, 3]);
    for (const { dtype, begin } of opened.tensors.values()) expect(begin % (dtype.endsWith('32') ? 4 : 1)).toBe(0);
    await opened.close();
  });

  it('leaves nothing when a tensor fails, and keeps the file that was there', async () => {
    const room = path.join(folder, 'room');
    await mkdir(room);
    const file = path.join(room, 'model.safetensors');
    await writeFile(file, 'before');
    const failing: TensorToWrite[] = [
      { name: 'a', dtype: 'U8', shape: [1], data: () => Uint8Array.of(1) },
      { name: 'b', dtype: 'U8', shape: [2], data: () => Uint8Array.of(1) },
    ];
    await expect(writeSafetensors(file, failing)).rejects.toMatchObject({ message: /1 bytes instead of 2/ });
    expect(await readdir(room)).toEqual(['model.safetensors']);
    expect(await readFile(file, 'utf8')).toBe('before');
    await expect(writeFileAtomically(path.join(room, 'no', 'file'), 'x')).rejects.toMatchObject({ code: 'not-found' });
  });

  it.skipIf(process.platform !== 'linux')('says that the disk is full and leaves nothing there', async () => {
    const disk = path.join(folder, 'disk');
    await mkdir(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      return;
    }
    try {
      const large: TensorToWrite = { name: 'a', dtype: 'U8', shape: [1 << 20], data: () => new Uint8Array(1 << 20) };
      await expect(writeSafetensors(path.join(disk, 'a.safetensors'), [large])).rejects.toMatchObject({
        code: 'no-space',
      });
      expect(await readdir(disk)).toEqual([]);
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});
