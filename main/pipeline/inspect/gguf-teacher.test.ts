/** A GGUF file as a teacher: what is read of it is what a folder of the same model gives, and what cannot be a teacher is refused in words. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ggufFamilies } from '../../contract/hub.ts';
import { decodeF16, encodeF16 } from '../../formats/half-precision.ts';
import { float32, type GgufValue, openGguf, uint32, writeGguf } from '../../formats/gguf/index.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { ggufArchitectures, ggufKeys, ggufTensorName } from '../../models/architectures/gguf.ts';
import { architectures } from '../../models/architectures/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import {
  tinyConfiguration,
  tinyFamilies,
  tinyParameters,
  tinyPrompts,
  tokenizerFolder,
} from '../../models/fixtures/tiny-model.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { loadParameters, modelCompanions, modelConfiguration, modelTokenizer } from '../../models/open-model.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { tensorsInMemory } from '../export/fixtures/tensors-in-memory.ts';
import type { GgufEncoding } from '../export/gguf-encoding.ts';
import { writeGgufModel } from '../export/gguf-file.ts';
import { compareWithGraph } from '../export/runtime-check.ts';
import { foreseeTeacher, inspectTeacher } from './inspect-teacher.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritsmith-gguf-teacher-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const llama3Rope = {
  kind: 'llama3',
  factor: 8,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 8192,
} as const;

const families: readonly [string, Partial<ModelConfiguration>][] = [
  ['Llama', {}],
  [
    'Llama 3 with scaled frequencies and a head of its own',
    { ropeScaling: llama3Rope, ropeTheta: 500_000, tiedEmbeddings: false },
  ],
  ['Qwen2', { architecture: 'qwen2' }],
  ['Qwen3', { architecture: 'qwen3', rmsNormEpsilon: 1e-5 }],
  ['Gemma 3', tinyFamilies.gemma3],
  ['SmolLM3', tinyFamilies.smollm3],
  ['Granite', tinyFamilies.granite],
  ['OLMo 2', tinyFamilies.olmo2],
];

const shape = (changes: Partial<ModelConfiguration>): ModelConfiguration =>
  tinyConfiguration({ ternary: false, subln: 'none', ...changes });

/** Parameters that a file in F16 holds exactly. */
function halfParameters(configuration: ModelConfiguration): ParameterBuffer {
  const parameters = tinyParameters(configuration);
  for (const { name, shape: size } of parameters.specifications)
    if (size.length > 1) parameters.view(name).set(decodeF16(encodeF16(parameters.view(name))));
  return parameters;
}

async function written(
  name: string,
  configuration: ModelConfiguration,
  encoding: GgufEncoding = { linear: 'F16', embedding: 'F16' },
): Promise<{ path: string; parameters: ParameterBuffer }> {
  const path = join(folder, `${name}.gguf`);
  const parameters = halfParameters(configuration);
  const tensors = tensorsInMemory(parameters);
  await writeGgufModel(path, { name, configuration, tensors, tokenizer: tokenizerFolder }, encoding);
  return { path, parameters };
}

describe.each(families)('a GGUF file of %s', (title, changes) => {
  const configuration = shape(changes);

  it('has the configuration and the parameters that were written', async () => {
    const { path, parameters } = await written('dense', configuration);
    const found = await modelConfiguration(path);
    expect(found).toEqual(configuration);
    const loaded = await loadParameters(path, found);
    expect(loaded.specifications.map(({ name }) => name)).toEqual(parameters.specifications.map(({ name }) => name));
    for (const { name } of parameters.specifications) expect(loaded.view(name), name).toEqual(parameters.view(name));
  });

  it('becomes a folder that says the same', async () => {
    const { path } = await written('dense', configuration);
    const target = join(folder, `folder of ${title}`);
    const parameters = await loadParameters(path, configuration);
    await saveModelFolder(target, path, configuration, parameters);
    expect(await modelConfiguration(target)).toEqual(configuration);
    const again = await loadParameters(target, configuration);
    for (const { name, storedOffset } of parameters.specifications) {
      const [found, expected] = [again.view(name), parameters.view(name)];
      // Of `1 + w` a folder holds w, which as float32 is not exact.
      const gap = storedOffset === 0 ? 0 : 2 ** -24;
      expect(
        found.findIndex((value, index) => Math.abs(value - expected[index]!) > gap),
        name,
      ).toBe(-1);
    }
    const [ofFile, ofFolder] = [await modelTokenizer(path), await loadTokenizer(target)];
    const original = await loadTokenizer(tokenizerFolder);
    for (const text of ['Where is my parcel?', '  two  spaces\n\n<|endoftext|>', 'naïve 日本 123']) {
      expect(ofFile.encode(text), text).toEqual(original.encode(text));
      expect(ofFolder.encode(text), text).toEqual(original.encode(text));
    }
    expect([ofFolder.eosId, ofFolder.bosId, ofFolder.sha256]).toEqual([ofFile.eosId, ofFile.bosId, ofFile.sha256]);
  });

  it('computes in the training engine what the runtime computes from the same file, quantised too', async () => {
    for (const linear of ['F16', 'Q8_0', 'Q4_0'] as const) {
      const { path } = await written('computed', configuration, { linear, embedding: 'Q8_0' });
      const parameters = await loadParameters(path, configuration);
      const found = await compareWithGraph(path, configuration, parameters, tinyPrompts(2, configuration.vocabSize), 1);
      expect(found, linear).toMatchObject({ samePrompts: 2, unexplainedTokens: 0 });
    }
  });
});

describe('a GGUF file of Phi-3 as llama.cpp converts it', () => {
  it('has q, k, v in one matrix, gate and up in another, and the factors of LongRoPE as tensors', async () => {
    const configuration = shape({
      ...tinyFamilies.phi3,
      maxPositions: 64,
      ropeScaling: { ...tinyFamilies.phi3.ropeScaling, factors: Array.from({ length: 24 }, (_, i) => 1 + i / 16) },
    });
    const parameters = halfParameters(configuration);
    const joined = new Map<string, { shape: number[]; values: number[] }>();
    const put = (name: string, size: readonly number[], values: Float32Array): void => {
      const before = joined.get(name);
      const rows = (before?.shape[0] ?? 0) + size[0]!;
      joined.set(name, { shape: [rows, ...size.slice(1)], values: [...(before?.values ?? []), ...values] });
    };
    const fused: Record<string, string> = { q: 'attn_qkv', k: 'attn_qkv', v: 'attn_qkv', gate: 'ffn_up', up: 'ffn_up' };
    for (const { name, shape: size, local, layer } of parameters.specifications) {
      const own = ggufTensorName(ggufArchitectures.phi3, local, layer);
      put(fused[local] ? `blk.${String(layer)}.${fused[local]}.weight` : own, size, parameters.view(name));
    }
    const factors = Float32Array.from(tinyFamilies.phi3.ropeScaling.factors);
    put('rope_factors_short.weight', [24], factors);
    put(
      'rope_factors_long.weight',
      [24],
      factors.map((factor) => factor * 4),
    );
    const key = (name: string, value: GgufValue): [string, GgufValue] => [`phi3.${name}`, value];
    const { integers } = ggufKeys(configuration);
    const path = join(folder, 'phi3.gguf');
    await writeGguf(
      path,
      new Map<string, GgufValue>([
        ['general.architecture', { type: 'string', value: 'phi3' }],
        ...Object.entries(integers).map(([name, value]) => key(name, uint32(value))),
        key('context_length', uint32(4096)),
        key('attention.layer_norm_rms_epsilon', float32(configuration.rmsNormEpsilon)),
        key('rope.freq_base', float32(configuration.ropeTheta)),
        key('rope.scaling.original_context_length', uint32(64)),
        key('rope.scaling.attn_factor', float32(1.19)),
      ]),
      [...joined].map(([name, { shape: size, values }]) => ({
        name,
        type: 'F32' as const,
        shape: size,
        data: () => Float32Array.from(values),
      })),
    );
    expect(await modelConfiguration(path)).toEqual(configuration);
    const loaded = await loadParameters(path, configuration);
    for (const { name } of parameters.specifications) expect(loaded.view(name), name).toEqual(parameters.view(name));
  });
});

describe('the card of a GGUF file', () => {
  it('says family, types, licence, and by how many bits the weights are told', async () => {
    const { path } = await written('card', shape({}), { linear: 'Q4_0', embedding: 'Q8_0' });
    const card = await inspectTeacher(path);
    expect(card).toMatchObject({
      folder: path,
      supported: true,
      architecture: 'Llama',
      layers: 2,
      weightFiles: 1,
      weightTypes: ['F32', 'Q4_0', 'Q8_0'],
      tokenizer: { kind: 'byte-level BPE', tokens: 1536 },
      licence: null,
    });
    const { size, count } = await sizeOfTensors(path);
    expect(card.warnings).toContainEqual(
      expect.objectContaining({
        id: 'teacher.quantised',
        params: { bits: (8 * size) / count, types: ['F32', 'Q4_0', 'Q8_0'] },
      }),
    );
    // 4.5 bits in the layers, 8.5 in the embedding.
    expect((8 * size) / count).toBeGreaterThan(4.5);
    expect((8 * size) / count).toBeLessThan(8.5);
    const { path: dense } = await written('card-dense', shape({}));
    expect((await inspectTeacher(dense)).warnings.map(({ id }) => id)).not.toContain('teacher.quantised');
  });
});

async function sizeOfTensors(path: string): Promise<{ size: number; count: number }> {
  const file = await openGguf(path);
  await file.close();
  const tensors = [...file.tensors.values()];
  const sum = (numbers: number[]): number => numbers.reduce((total, number) => total + number, 0);
  return { size: sum(tensors.map(({ bytes }) => bytes!)), count: sum(tensors.map(({ count }) => count)) };
}

describe('the card of a GGUF file that is still elsewhere', () => {
  const remote = (architecture: string | null) =>
    foreseeTeacher({
      folder: '/models/tiny.gguf',
      configuration: '',
      gguf: { architecture, parameters: 135e6, contextLength: 8192 },
      weightTypes: [],
      original: null,
      licence: 'mit',
      weightBytes: 98e6,
      weightFiles: 1,
      tokenizerBytes: 0,
    });

  it('says family, size and context, and refuses other architectures', () => {
    expect(remote('llama')).toMatchObject({
      supported: true,
      architecture: 'Llama',
      parameters: 135e6,
      contextLength: 8192,
      weightBytes: 98e6,
      licence: 'mit',
    });
    expect(remote('rwkv7')).toMatchObject({ supported: false, problem: { id: 'gguf.architecture' } });
    expect(remote(null)).toMatchObject({ supported: false, architecture: 'unknown' });
  });

  it('is offered by the search for just the architectures that are read', () => {
    const read = architectures.flatMap(({ fromGguf, modelType }) =>
      fromGguf ? [fromGguf.architecture, ...(fromGguf.others ?? [])].map((name) => [name, modelType]) : [],
    );
    expect(Object.entries(ggufFamilies).sort()).toEqual(read.sort());
  });
});

describe('a GGUF file that cannot be a teacher', () => {
  /** A dense file with other keys and tensors. */
  async function changed(
    name: string,
    change: (metadata: Map<string, GgufValue>, tensors: Map<string, Float32Array>) => void,
  ): Promise<string> {
    const { path } = await written('whole', shape({}));
    const file = await openGguf(path);
    const metadata = new Map(file.metadata);
    const tensors = new Map<string, Float32Array>();
    const shapes = new Map([...file.tensors].map(([key, tensor]) => [key, tensor.shape]));
    for (const key of file.tensors.keys()) tensors.set(key, await file.readFloat32(key));
    await file.close();
    change(metadata, tensors);
    const target = join(folder, `${name}.gguf`);
    await writeGguf(
      target,
      metadata,
      [...tensors].map(([key, values]) => ({
        name: key,
        type: 'F32' as const,
        shape: shapes.get(key) ?? [values.length],
        data: () => values,
      })),
    );
    return target;
  }

  it.each<[string, Parameters<typeof changed>[1], object]>([
    [
      'of an unknown architecture',
      (metadata) => metadata.set('general.architecture', { type: 'string', value: 'rwkv7' }),
      { code: 'unsupported', id: 'gguf.architecture' },
    ],
    [
      'that is one part of several',
      (metadata) => metadata.set('split.count', { type: 'uint16', value: 3 }),
      { code: 'unsupported', id: 'gguf.split' },
    ],
    [
      'with a tensor that would be left out',
      (_, tensors) => tensors.set('blk.0.attn_q.bias', new Float32Array(256)),
      { code: 'unsupported', id: 'gguf.strange-tensor' },
    ],
    [
      'with scaled frequencies that no setting describes',
      (_, tensors) => tensors.set('rope_freqs.weight', new Float32Array(32).fill(3)),
      { code: 'unsupported', id: 'gguf.setting' },
    ],
    [
      'with another rotary scaling',
      (metadata) => metadata.set('llama.rope.scaling.type', { type: 'string', value: 'yarn' }),
      { code: 'unsupported', id: 'model.uses' },
    ],
    [
      'that lacks a key of its shape',
      (metadata) => metadata.delete('llama.block_count'),
      { code: 'damaged', id: 'gguf.key' },
    ],
    [
      'whose layers differ',
      (metadata) => metadata.set('llama.attention.head_count_kv', { type: 'array', items: 'uint32', value: [2, 1] }),
      { code: 'unsupported', id: 'gguf.uneven-layers' },
    ],
    [
      'with a shape that is none',
      (metadata) => metadata.set('llama.attention.head_count_kv', uint32(3)),
      { code: 'bad-input', id: 'configuration.key-value-heads' },
    ],
  ])('%s is refused', async (title, change, expected) => {
    const path = await changed(title, change);
    await expect(modelConfiguration(path)).rejects.toMatchObject({ name: 'TritsmithError', ...expected });
  });

  it('because it is a ternary student is refused', async () => {
    const student = tinyConfiguration({ subln: 'none' });
    const { path } = await written('student', student, { linear: 'I2_S', embedding: 'F16' });
    await expect(modelConfiguration(path)).rejects.toMatchObject({ code: 'unsupported', id: 'gguf.ternary-teacher' });
    expect(await inspectTeacher(path)).toMatchObject({ supported: false, problem: { id: 'gguf.ternary-teacher' } });
  });

  it('because a tensor is lacking, has another shape or no numbers is refused', async () => {
    const lacking = await changed('lacking', (_, tensors) => tensors.delete('blk.1.ffn_up.weight'));
    expect(await inspectTeacher(lacking)).toMatchObject({ supported: false, problem: { id: 'teacher.tensor-lacks' } });
    const configuration = shape({});
    await expect(loadParameters(lacking, configuration)).rejects.toMatchObject({ id: 'model.lacks-tensor' });
    const short = await changed('short', (metadata) => metadata.set('llama.feed_forward_length', uint32(384)));
    expect(await inspectTeacher(short)).toMatchObject({ supported: false, problem: { id: 'teacher.tensor-shape' } });
    const broken = await changed('broken', (_, tensors) => tensors.get('output_norm.weight')!.fill(NaN));
    await expect(loadParameters(broken, configuration)).rejects.toMatchObject({ code: 'damaged' });
  });

  it('because it is cut off or no GGUF file is refused', async () => {
    const { path } = await written('cut', shape({}));
    const bytes = await readFile(path);
    for (const length of [0, 100, bytes.length >> 1, bytes.length - 32]) {
      await writeFile(path, bytes.subarray(0, length));
      await expect(modelConfiguration(path)).rejects.toMatchObject({ code: 'damaged' });
    }
    await expect(modelConfiguration(join(folder, 'nothing.gguf'))).rejects.toMatchObject({ code: 'not-found' });
    await expect(modelCompanions(path)).rejects.toMatchObject({ code: 'damaged' });
  });
});
