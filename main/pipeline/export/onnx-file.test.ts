import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainQuantisation } from '../../contract/quantisation.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { tinyConfiguration, tinyFamilies, tinyParameters, tinyPrompts } from '../../models/fixtures/tiny-model.ts';
import { onnxCheck } from './onnx-check.ts';
import { writeOnnxModel } from './onnx-file.ts';
import { blockSize, onnxModel, packTwoBits } from './onnx-model.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';
import { writeVerifiedOnnx } from './verified-onnx.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritsmith-onnx-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const ropeScaling = {
  kind: 'llama3',
  factor: 8,
  lowFrequencyFactor: 1,
  highFrequencyFactor: 4,
  originalMaxPositions: 32,
} as const;

describe('an ONNX file in ONNX Runtime', () => {
  it.each<[string, Partial<ModelConfiguration>]>([
    ['Llama with SubLN', {}],
    ['Llama 3 with a head of its own and rope scaling', { tiedEmbeddings: false, ropeScaling }],
    ['Qwen2 with SubLN and bias, which no GGUF holds', { architecture: 'qwen2' }],
    ['Qwen3, SubLN before all seven', { architecture: 'qwen3', subln: 'all' }],
    ['Gemma 3', tinyFamilies.gemma3],
    ['Mistral with a window', tinyFamilies.mistral],
    ['SmolLM3', tinyFamilies.smollm3],
    ['Phi-4-mini', tinyFamilies.phi3],
    ['Granite', tinyFamilies.granite],
    ['OLMo 2', tinyFamilies.olmo2],
    ['rows of 520, which are packed as int8', { ffnSize: 520 }],
    ['two of four weights', { quantisation: { weights: { scale: 'absmean', group: 'tensor', sparsity: '2:4' } } }],
    ['a scale for each row', { quantisation: { weights: { scale: 'absmean', group: 'row' } } }],
    ['a scale for each 128 columns', { quantisation: { weights: { scale: 'absmedian', group: 128 } } }],
    ['learned scales', { quantisation: { weights: { scale: 'learned', group: 'tensor' } } }],
    ['a learned scale for each row', { quantisation: { weights: { scale: 'learned', group: 'row' } } }],
    ['a learned scale for each 64 columns', { quantisation: { weights: { scale: 'learned', group: 64 } } }],
    [
      'turned inputs of 4 bits (BitNet v2)',
      { ffnSize: 736, quantisation: { ...plainQuantisation, activations: { hadamard: true, bits: 4 } } },
    ],
    ['a full-precision model', { ternary: false, subln: 'none' }],
  ])('%s: the logits of the graph engine within 1e-4', async (_title, changes) => {
    const configuration = tinyConfiguration(changes);
    const tensors = tensorsInMemory(tinyParameters(configuration));
    const prompts = tinyPrompts(6, configuration.vocabSize);
    const { checks } = await writeVerifiedOnnx(join(folder, 'model.onnx'), configuration, tensors, 'F16', {
      prompts,
      threads: 1,
      onProgress: () => Promise.resolve(),
    });
    const { places, samePlaces, exactShare } = checks[0]!.figures;
    expect(samePlaces).toBe(places);
    expect(exactShare).toBeGreaterThan(0.9);
  });

  it('another model is told apart', async () => {
    const configuration = tinyConfiguration();
    const path = join(folder, 'other.onnx');
    await writeOnnxModel(path, configuration, tensorsInMemory(tinyParameters(configuration, 1)), 'F32');
    const check = await onnxCheck(path, configuration, tinyParameters(configuration, 2), tinyPrompts(3, 1536), 1);
    expect(check.passed).toBe(false);
  });
});

describe('the graph of an ONNX file', () => {
  it.each<[string, Partial<ModelConfiguration>]>([
    ['Llama with SubLN', {}],
    ['Qwen2 with bias', { architecture: 'qwen2' }],
    ['Qwen3, SubLN before all seven', { architecture: 'qwen3', subln: 'all' }],
    ['a scale for each 64 columns', { quantisation: { weights: { scale: 'absmean', group: 64 } } }],
    ['learned scales', { quantisation: { weights: { scale: 'learned', group: 'tensor' } } }],
    ['a full-precision model', { ternary: false, subln: 'none' }],
    ...Object.entries(tinyFamilies),
  ])('%s: every node leads to the logits, every constant is read', (_title, changes) => {
    const configuration = tinyConfiguration(changes);
    const { nodes, constants, outputs } = onnxModel(
      configuration,
      tensorsInMemory(tinyParameters(configuration)),
      'F16',
    );
    const read = new Set([...nodes.flatMap(({ inputs }) => inputs), ...outputs.map(({ name }) => name)]);
    const made = [...nodes.map((node) => node.outputs), ...constants.map(({ name }) => [name])];
    expect(made.filter((names) => !names.some((name) => read.has(name)))).toEqual([]);
  });
});

describe('packing', () => {
  it('takes 2 bits a weight and a 1 per block of 256, or a byte a weight', async () => {
    const write = (changes: Partial<ModelConfiguration>) => {
      const configuration = tinyConfiguration(changes);
      return writeOnnxModel(
        join(folder, 'size.onnx'),
        configuration,
        tensorsInMemory(tinyParameters(configuration)),
        'F16',
      );
    };
    const weights = 2 * (256 * 256 * 2 + 256 * 128 * 2 + 3 * 256 * 512);
    expect((await write({})).bodyBytes).toBe(weights / 4 + (weights / 256) * 4 + 14 * 4);
    const [attention, gateUp, down] = [2 * (256 * 256 * 2 + 256 * 128 * 2), 2 * 2 * 256 * 520, 2 * 256 * 520];
    const packed = attention + gateUp;
    expect((await write({ ffnSize: 520 })).bodyBytes).toBe(packed / 4 + (packed / 256) * 4 + down + 14 * 4);
    expect([blockSize(2048), blockSize(384), blockSize(48), blockSize(520)]).toEqual([256, 128, 16, null]);
    expect([...packTwoBits(Float32Array.of(-1, 0, 1, 1))]).toEqual([1 | (2 << 2) | (3 << 4) | (3 << 6)]);
  });
});
