/** Files that zeros make wider: the student's own logits and codes, and what it costs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { native } from '../../../native/index.ts';
import { loadModel } from '../../../native/runtime.ts';
import { openGguf } from '../../formats/gguf/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { tinyConfiguration, tinyParameters, tinyPrompts, tokenizerFolder } from '../../models/fixtures/tiny-model.ts';
import { llamaCppForTests, needsLlamaCpp } from '../../testing/llama-cpp.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';
import { valuesInFile } from './file-in-runtime.ts';
import { type GgufEncoding, scaleName } from './gguf-encoding.ts';
import { paddingCost, planFile } from './padded-plan.ts';
import { writeVerifiedGguf } from './verified-gguf.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritsmith-padded-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** SmolLM2's proportions: three query heads share a key head, and no width is a multiple of 128. An epsilon this large shows a norm of the wrong one. */
const odd = (changes: Partial<ModelConfiguration> = {}): ModelConfiguration =>
  tinyConfiguration({
    hiddenSize: 96,
    ffnSize: 160,
    heads: 3,
    kvHeads: 1,
    headSize: 32,
    rmsNormEpsilon: 1e-2,
    ...changes,
  });

async function write(configuration: ModelConfiguration, encoding: GgufEncoding, llamaCpp: string | null = null) {
  const path = join(folder, 'padded.gguf');
  const parameters = tinyParameters(configuration);
  const written = await writeVerifiedGguf(
    path,
    { name: 'odd', configuration, tensors: tensorsInMemory(parameters), tokenizer: tokenizerFolder },
    encoding,
    {
      prompts: tinyPrompts(llamaCpp === null ? 12 : 4, configuration.vocabSize),
      threads: 1,
      llamaCpp,
      onProgress: () => Promise.resolve(),
    },
  );
  return { path, parameters, ...written };
}

const wide = { hiddenSize: 160, heads: 6, kvHeads: 2 };
const qwen3 = { architecture: 'qwen3', heads: 4, kvHeads: 2, headSize: 20 } as const;

describe('a padded file in the native runtime', () => {
  it.each<[string, string, Partial<ModelConfiguration>, GgufEncoding]>([
    ['Llama with SubLN, 96 wide', 'bitnet', {}, { linear: 'I2_S', embedding: 'F16' }],
    ['Llama with SubLN, 96 wide', 'bitnet', {}, { linear: 'TQ2_0', embedding: 'Q6_K' }],
    ['Llama with SubLN, ffn alone', 'bitnet', { hiddenSize: 128, heads: 4 }, { linear: 'I2_S', embedding: 'F16' }],
    ['Llama with SubLN, head of its own', 'bitnet', { tiedEmbeddings: false }, { linear: 'TQ1_0', embedding: 'F32' }],
    ['Llama without SubLN, 160 wide', 'llama', { subln: 'none', ...wide }, { linear: 'I2_S', embedding: 'Q8_0' }],
    [
      'Llama without SubLN, head of its own',
      'llama',
      { subln: 'none', ...wide, tiedEmbeddings: false },
      { linear: 'TQ2_0', embedding: 'F16' },
    ],
    [
      'Qwen2 without SubLN, with bias',
      'qwen2',
      { architecture: 'qwen2', subln: 'none', ...wide },
      { linear: 'I2_S', embedding: 'F16' },
    ],
    ['Qwen2 with SubLN', 'bitnet', { architecture: 'qwen2', qkvBias: false }, { linear: 'I2_S', embedding: 'F16' }],
    ['Qwen3 without SubLN', 'qwen3', { ...qwen3, subln: 'none' }, { linear: 'I2_S', embedding: 'F16' }],
    ['Qwen3, SubLN before o and down', 'qwen3', qwen3, { linear: 'I2_S', embedding: 'F16' }],
    ['Qwen3, SubLN before all seven', 'qwen3', { ...qwen3, subln: 'all' }, { linear: 'TQ2_0', embedding: 'F16' }],
    ['Qwen3, SubLN before all seven', 'qwen3', { ...qwen3, subln: 'all' }, { linear: 'Q2_0', embedding: 'F16' }],
  ])('%s (%s, %j, %j): the logits of the student and its codes', async (_title, architecture, changes, encoding) => {
    const configuration = odd(changes);
    const found = await write(configuration, encoding);
    expect(found.architecture).toBe(architecture);
    expect(found.notes.map(({ id }) => id)).toContain('note.padded');
    expect(found.checks.map(({ name, passed }) => [name, passed])).toEqual([
      ['tensors', true],
      ['parser', true],
      ['runtime', true],
    ]);
    const { exactShare, sameTokens, tokens, unexplainedTokens } = found.checks[2]!.figures;
    expect(exactShare).toBeGreaterThan(0.75);
    expect(sameTokens! / tokens!).toBeGreaterThan(0.97);
    expect(unexplainedTokens).toBe(0);

    // Each ternary matrix, without its padding, has the codes of training.
    const plan = planFile(configuration, encoding);
    const file = await openGguf(found.path);
    let zeros = 0;
    let weights = 0;
    for (const tensor of plan.tensors.filter(({ kind }) => kind === 'linear')) {
      const latent = found.parameters.view(tensor.source as string);
      const codes = new Float32Array(latent.length);
      native.quantiseTernary(latent, codes);
      const stored = await valuesInFile(file, tensor);
      expect(stored.map(Math.sign)).toEqual(codes);
      const whole = await file.readFloat32(tensor.name);
      expect(whole.filter((value) => value !== 0).length).toBe(codes.filter((value) => value !== 0).length);
      zeros += codes.filter((value) => value === 0).length;
      weights += codes.length;
      if (encoding.linear !== 'I2_S') expect(file.tensors.has(scaleName(tensor.name))).toBe(true);
    }
    expect(found.zeroFraction).toBe(zeros / weights);
    await file.close();
  });

  it('is as wide as it must be and no wider, in whole groups of heads', async () => {
    const { path } = await write(odd(), { linear: 'I2_S', embedding: 'F16' });
    const model = loadModel(path, { contextLength: 16 });
    // 12 heads of 32 are the first whole groups of three that 128 divides, and "bitnet" wants their width as the hidden size.
    expect(model.info).toMatchObject({ hiddenSize: 384, heads: 12, kvHeads: 4, headDim: 32, ffnSize: 256 });
    model.close();
    const shapeOf = (changes: Partial<ModelConfiguration>, encoding: GgufEncoding) =>
      paddingCost(odd(changes), encoding)?.to;
    expect(shapeOf({ subln: 'none' }, { linear: 'I2_S', embedding: 'F16' })).toMatchObject({
      hiddenSize: 128,
      heads: 12,
    });
    expect(shapeOf({ subln: 'none' }, { linear: 'Q2_0', embedding: 'Q6_K' })).toMatchObject({
      hiddenSize: 256,
      heads: 6,
    });
    const smol = odd({ hiddenSize: 576, ffnSize: 1536, heads: 9, kvHeads: 3, headSize: 64 });
    expect(paddingCost(smol, { linear: 'Q2_0', embedding: 'F16' })).toBeNull();
    expect(paddingCost(smol, { linear: 'I2_S', embedding: 'F16' })).toMatchObject({
      to: { hiddenSize: 768, heads: 12, kvHeads: 4, ffnSize: 1536 },
    });
    const ordinary = tinyConfiguration();
    expect(paddingCost(ordinary, { linear: 'TQ2_0', embedding: 'Q6_K' })).toBeNull();
  });

  it('costs the bytes that are said', async () => {
    const configuration = odd();
    const encoding = { linear: 'TQ2_0', embedding: 'F16' } as const;
    const cost = paddingCost(configuration, encoding)!;
    const { bodyBytes } = await write(configuration, encoding);
    const weights = 2 * (96 * 96 * 2 + 96 * 32 * 2 + 3 * 96 * 160);
    // Beside the blocks there is a scale of four bytes for each matrix.
    expect(Math.abs(bodyBytes - 14 * 4 - (weights / 256) * 66 - cost.bodyBytes)).toBeLessThan(1);
    expect(cost.tableBytes).toBe(configuration.vocabSize * (cost.to.hiddenSize - 96) * 2);
  });
});

const component = llamaCppForTests();

describe.skipIf(component === null)(`a padded file in llama.cpp ${needsLlamaCpp}`, () => {
  it.each<[string, Partial<ModelConfiguration>, GgufEncoding]>([
    ['Llama with SubLN', {}, { linear: 'TQ2_0', embedding: 'F16' }],
    ['Llama without SubLN', { subln: 'none', ...wide }, { linear: 'TQ2_0', embedding: 'Q6_K' }],
    ['Qwen3 without SubLN', { ...qwen3, subln: 'none' }, { linear: 'TQ1_0', embedding: 'F16' }],
  ])('%s, %j, %j: the logits of the student in its own arithmetic', async (_title, changes, encoding) => {
    const { checks } = await write(odd(changes), encoding, component);
    expect(checks.at(-1)).toMatchObject({
      name: 'llama.cpp',
      passed: true,
      figures: { tokens: 32, unexplainedTokens: 0 },
    });
    expect(checks.at(-1)!.figures.exactShare).toBeGreaterThan(0.3);
  });
});
