import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainQuantisation } from '../../contract/quantisation.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import {
  tinyConfiguration,
  tinyParameters,
  tokenizerFolder,
  writeTinySource,
} from '../../models/fixtures/tiny-model.ts';
import type { GgufEncoding } from './gguf-encoding.ts';
import { writeGgufModel } from './gguf-file.ts';
import { writeHuggingFaceFolder } from './hugging-face-folder.ts';
import { inspectFile } from './inspect-file.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritsmith-inspect-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function inspected(changes: Partial<ModelConfiguration>, encoding: GgufEncoding) {
  const configuration = tinyConfiguration(changes);
  const path = join(folder, 'model.gguf');
  const tensors = tensorsInMemory(tinyParameters(configuration));
  await writeGgufModel(path, { name: 'tiny', configuration, tensors, tokenizer: tokenizerFolder }, encoding);
  const found = await inspectFile(path);
  const runners = found.verdicts.filter(({ runs }) => runs).map(({ program }) => program);
  return { found, runners };
}

const rope = {
  kind: 'llama3',
  factor: 8,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 32,
} as const;
const full = { ternary: false, subln: 'none' } as const;

describe('who can run a file (llama.cpp: as node-llama-cpp 3.22.1 did when these very layouts were loaded in it)', () => {
  it.each<[Partial<ModelConfiguration>, GgufEncoding['linear'], string[]]>([
    [{}, 'I2_S', ['Tritsmith', 'bitnet.cpp']],
    [{}, 'TQ2_0', ['Tritsmith', 'llama.cpp']],
    [{}, 'TQ1_0', ['Tritsmith', 'llama.cpp']],
    [{ tiedEmbeddings: false }, 'TQ2_0', ['Tritsmith']],
    [{ ropeScaling: rope }, 'TQ2_0', ['Tritsmith']],
    [{ subln: 'none', tiedEmbeddings: false, ropeScaling: rope }, 'TQ2_0', ['Tritsmith', 'llama.cpp']],
    [{ architecture: 'qwen3' }, 'TQ2_0', ['Tritsmith']],
    [{}, 'Q2_0', ['Tritsmith', 'llama.cpp']],
    [{ quantisation: { ...plainQuantisation, activations: { hadamard: true, bits: 4 } } }, 'I2_S', ['Tritsmith']],
    [
      { subln: 'none', quantisation: { weights: { scale: 'absmean', group: 'tensor', sparsity: 'exactly-3:4' } } },
      'T3_4',
      ['Tritsmith'],
    ],
    [
      {
        architecture: 'qwen3',
        subln: 'none',
        quantisation: { ...plainQuantisation, activations: { hadamard: false, bits: 4 } },
      },
      'I2_S',
      ['Tritsmith'],
    ],
    [{ architecture: 'qwen3' }, 'I2_S', ['Tritsmith', 'bitnet.cpp']],
    [{ architecture: 'qwen3', subln: 'none' }, 'TQ2_0', ['Tritsmith', 'llama.cpp']],
    [{ architecture: 'qwen2', ...full }, 'F16', ['Tritsmith', 'llama.cpp']],
    [full, 'Q4_0', ['Tritsmith', 'llama.cpp']],
  ])('%j as %s: %j', async (changes, linear, expected) => {
    const { found, runners } = await inspected(changes, { linear, embedding: 'F16' });
    expect(runners).toEqual(expected);
    for (const { reason } of found.verdicts) expect(reason.length).toBeGreaterThan(10);
  });
});

describe('what is in a file', () => {
  it.each<[GgufEncoding['linear'], number]>([
    ['I2_S', 0],
    ['Q2_0', 14],
    ['TQ2_0', 14],
    ['TQ1_0', 14],
  ])('%s: types, sizes, zero fraction and scale', async (linear, scales) => {
    const { found } = await inspected({}, { linear, embedding: 'F16' });
    expect(found.types.find(({ type }) => type === linear)!.tensors).toBe(14);
    expect(found.types.find(({ type }) => type === 'F32')!.tensors).toBe(9 + scales);
    expect(found.parameters).toBe(1536 * 256 + 2 * (256 * 256 * 2 + 256 * 128 * 2 + 3 * 256 * 512) + 5 * 256 + 2 * 768);
    // Of normal weights those within half the mean magnitude become zero: P(|z| < sqrt(2/pi)/2) = 0.310.
    expect(found.zeroFraction).toBeCloseTo(0.31, 2);
    const q = found.tensors.find(({ name }) => name === 'blk.0.attn_q.weight')!;
    expect(q.zeroFraction).toBeCloseTo(0.31, 2);
    // The scale is the mean magnitude: 0.1 * sqrt(2/pi).
    expect(q.scale).toBeCloseTo(0.0798, 3);
    expect(found.metadata.find(({ key }) => key === 'tokenizer.ggml.tokens')!.value).toMatch(/^\[1536\]/);
  });

  it('T3_4: 1.25 bits, a quarter of zeros, the mean of what is kept', async () => {
    const weights = { scale: 'absmean', group: 'tensor', sparsity: 'exactly-3:4' } as const;
    const { found } = await inspected({ quantisation: { weights } }, { linear: 'T3_4', embedding: 'F16' });
    expect(found.architecture).toBe('tritsmith-llama');
    expect(found.zeroFraction).toBe(0.25);
    const q = found.tensors.find(({ name }) => name === 'blk.0.attn_q.weight')!;
    expect(q).toMatchObject({ type: 'T3_4', zeroFraction: 0.25, bytes: (256 * 256 * 5) / 32 + 32 });
    // Of normal weights the mean without the smallest of each four: more than the mean of all, 0.0798.
    expect(q.scale).toBeGreaterThan(0.095);
    expect(q.scale).toBeLessThan(0.105);
  });

  it('a packed Hugging Face folder, and the latent weights of a student in training', async () => {
    const configuration = tinyConfiguration();
    const parameters = tinyParameters(configuration);
    const source = join(folder, 'source');
    await writeTinySource(source, configuration);
    const packed = join(folder, 'packed');
    const model = { configuration, tensors: tensorsInMemory(parameters), source, card: '' };
    await writeHuggingFaceFolder(packed, model, 'F16');
    const found = await inspectFile(packed);
    expect(found).toMatchObject({ format: 'safetensors', architecture: 'bitnet' });
    expect(found.zeroFraction).toBeCloseTo(0.31, 2);
    expect(found.verdicts.filter(({ runs }) => runs).map(({ program }) => program)).toEqual(['transformers']);

    const latent = join(folder, 'latent');
    await saveModelFolder(latent, source, configuration, parameters);
    const training = await inspectFile(join(latent, 'model.safetensors'));
    expect(training.zeroFraction).toBeNull();
    expect(training.verdicts.some(({ runs }) => runs)).toBe(false);
  });

  it('other files are refused with what to do', async () => {
    const path = join(folder, 'text.txt');
    await writeFile(path, 'neither of them, only text');
    await expect(inspectFile(path)).rejects.toMatchObject({
      code: 'bad-input',
      remedy: expect.stringContaining('.gguf'),
    });
    await expect(inspectFile(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'not-found' });
    await writeFile(path, 'GGUF and nothing else');
    await expect(inspectFile(path)).rejects.toMatchObject({ name: 'TritsmithError' });
  });

  it('a folder of several files of weights, or of none, and an empty file say what to name instead', async () => {
    const shards = join(folder, 'shards');
    await mkdir(shards);
    await expect(inspectFile(shards)).rejects.toMatchObject({
      code: 'bad-input',
      reason: expect.stringContaining('neither'),
    });
    for (const name of ['b.safetensors', 'a.safetensors', 'c.json']) await writeFile(join(shards, name), '');
    await expect(inspectFile(shards)).rejects.toMatchObject({
      reason: 'It has 2: a.safetensors, b.safetensors.',
      remedy: 'Name one of them.',
    });
    await expect(inspectFile(join(shards, 'a.safetensors'))).rejects.toMatchObject({ reason: 'It is empty.' });
  });
});
