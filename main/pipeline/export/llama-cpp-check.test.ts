/** Exported files in llama.cpp itself: what it computes, what our runtime computes, and what its own rounding explains. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExportCheck } from '../../contract/results.ts';
import { llamaCppForTests, needsLlamaCpp } from '../../testing/llama-cpp.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import {
  tinyConfiguration,
  tinyFamilies,
  tinyParameters,
  tinyPrompts,
  tokenizerFolder,
} from '../../models/fixtures/tiny-model.ts';
import type { GgufEncoding } from './gguf-encoding.ts';
import { writeGgufModel } from './gguf-file.ts';
import { compareWithLlamaCpp, llamaCppCheck } from './llama-cpp-check.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';
import { trainedStudent } from './fixtures/trained-student.ts';
import { writeVerifiedGguf } from './verified-gguf.ts';

const component = llamaCppForTests();
const f16 = 'F16' as const;
/** Scales that every architecture of llama.cpp applies. */
const inBlocks = { subln: 'none', quantisation: { weights: { scale: 'absmean', group: 64 } } } as const;
const full = { ternary: false, subln: 'none' } as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritsmith-llama-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function verify(
  configuration: ModelConfiguration,
  parameters: ParameterBuffer,
  encoding: GgufEncoding,
  prompts: readonly Int32Array[],
) {
  const path = join(folder, `${encoding.linear}.gguf`);
  const model = { name: 'tiny', configuration, tensors: tensorsInMemory(parameters), tokenizer: tokenizerFolder };
  const options = { prompts, threads: 1, llamaCpp: component, onProgress: () => Promise.resolve() };
  const written = await writeVerifiedGguf(path, model, encoding, options);
  return { ...written, found: written.checks.find(({ name }) => name === 'llama.cpp') };
}

/** llama.cpp's Gemma 3 has a period of six. */
const gemma3Kinds = Array.from(
  { length: 6 },
  (_, layer) => ({ window: layer < 5 ? 6 : null, rope: layer < 5 ? 'local' : 'global' }) as const,
);

describe.skipIf(component === null)(`an exported file in llama.cpp ${needsLlamaCpp}`, () => {
  it.each<[string, Partial<ModelConfiguration>, GgufEncoding]>([
    ['Llama with SubLN ("bitnet"), TQ2_0', {}, { linear: 'TQ2_0', embedding: f16 }],
    ['Llama with SubLN ("bitnet"), TQ1_0, Q6_K embedding', {}, { linear: 'TQ1_0', embedding: 'Q6_K' }],
    ['Llama without SubLN (permuted rows), TQ2_0, Q8_0', { subln: 'none' }, { linear: 'TQ2_0', embedding: 'Q8_0' }],
    ['Llama with SubLN ("bitnet"), Q2_0', { ffnSize: 320 }, { linear: 'Q2_0', embedding: f16 }],
    [
      'Llama without SubLN, Q2_0, grouped heads, 192 wide',
      { subln: 'none', hiddenSize: 192, heads: 6, kvHeads: 2, headSize: 32, ffnSize: 320 },
      { linear: 'Q2_0', embedding: 'Q8_0' },
    ],
    [
      'a scale for each row, TQ2_0',
      { subln: 'none', quantisation: { weights: { scale: 'absmean', group: 'row' } } },
      { linear: 'TQ2_0', embedding: f16 },
    ],
    [
      'a scale for each 64 columns, Q2_0',
      { subln: 'none', quantisation: { weights: { scale: 'absmean', group: 64 } } },
      { linear: 'Q2_0', embedding: f16 },
    ],
    [
      'Qwen2 with bias, without SubLN, Q2_0',
      { architecture: 'qwen2', subln: 'none' },
      { linear: 'Q2_0', embedding: f16 },
    ],
    ['Qwen3 without SubLN, Q2_0', { architecture: 'qwen3', subln: 'none' }, { linear: 'Q2_0', embedding: f16 }],
    ['Qwen2 without bias, TQ2_0', { architecture: 'qwen2', qkvBias: false }, { linear: 'TQ2_0', embedding: f16 }],
    [
      'Qwen2 with bias, without SubLN, TQ2_0',
      { architecture: 'qwen2', subln: 'none' },
      { linear: 'TQ2_0', embedding: f16 },
    ],
    ['Qwen3 without SubLN, TQ1_0', { architecture: 'qwen3', subln: 'none' }, { linear: 'TQ1_0', embedding: f16 }],
    [
      'Gemma 3 without SubLN, a scale for each 64 columns, Q2_0',
      { ...tinyFamilies.gemma3, ...inBlocks, layers: 6, layerKinds: gemma3Kinds },
      { linear: 'Q2_0', embedding: f16 },
    ],
    [
      'SmolLM3 without SubLN, a scale for each 64 columns, Q2_0',
      { ...tinyFamilies.smollm3, ...inBlocks },
      { linear: 'Q2_0', embedding: f16 },
    ],
    ['a full-precision Llama, Q8_0', full, { linear: 'Q8_0', embedding: 'Q8_0' }],
    [
      'a full-precision Qwen2, Q4_0, Q6_K embedding',
      { ...full, architecture: 'qwen2' },
      { linear: 'Q4_0', embedding: 'Q6_K' },
    ],
  ])('%s: the logits of its own arithmetic', async (_title, changes, encoding) => {
    const configuration = tinyConfiguration(changes);
    const { found } = await verify(configuration, tinyParameters(configuration), encoding, tinyPrompts(4, 1536));
    expect(found).toMatchObject({ passed: true, figures: { prompts: 4, tokens: 32, unexplainedTokens: 0 } });
    // At the other places an int8 rounding fell the other way, or one to float16 in ggml's table of GELU.
    expect(found!.figures.exactShare).toBeGreaterThan(configuration.activation === 'gelu-tanh' ? 0.1 : 0.3);
    // What differs from our logits is what rounding otherwise explains.
    const { differenceFromOurs, roundingDifference, sensitivity } = found!.figures;
    expect(differenceFromOurs).toBeLessThan(roundingDifference! + 3 * sensitivity!);
  });

  it.each(['gemma3', 'smollm3', 'granite', 'olmo2'] as const)(
    'a ternary %s without SubLN, whose scales beside the matrices llama.cpp leaves out, is not tried there',
    async (family) => {
      const configuration = tinyConfiguration({ ...tinyFamilies[family], subln: 'none' });
      const encoding = { linear: 'Q2_0', embedding: f16 } as const;
      const written = await verify(configuration, tinyParameters(configuration), encoding, tinyPrompts(1, 1536));
      expect(written.found).toBeUndefined();
      expect(written.checks.map(({ name }) => name)).toEqual(['tensors', 'parser', 'runtime']);
    },
  );

  it.each<[string, Partial<ModelConfiguration>]>([
    ['Llama', full],
    ['Qwen3', { ...full, architecture: 'qwen3' }],
    ['Gemma 3', { ...tinyFamilies.gemma3, ...full, layers: 6, layerKinds: gemma3Kinds }],
    ['Mistral', { architecture: 'mistral', ...full }],
    ['SmolLM3', { ...tinyFamilies.smollm3, ...full }],
    ['Phi-3, as Llama', { architecture: 'phi3', ...full }],
    ['Granite', { ...tinyFamilies.granite, ...full }],
    ['OLMo 2', { ...tinyFamilies.olmo2, ...full }],
  ])('a full-precision %s as F16: the same tokens, logits within a hundredth', async (_title, changes) => {
    const configuration = tinyConfiguration(changes);
    const { found } = await verify(
      configuration,
      tinyParameters(configuration),
      { linear: f16, embedding: f16 },
      tinyPrompts(4, 1536),
    );
    expect(found).toMatchObject({ passed: true, figures: { tokens: 32, sameTokens: 32 } });
    expect(found!.figures.largestDifference).toBeLessThan(0.01);
  });

  it('a student that was trained: the greedy tokens of our runtime on 64 prompts, as TQ2_0 and TQ1_0', async () => {
    const { configuration, parameters, prompts, losses } = await trainedStudent(80);
    expect(losses[0]).toBeGreaterThan(6.5);
    expect(losses[1]).toBeLessThan(4.3);
    for (const [linear, rows] of [
      ['TQ2_0', 64],
      ['TQ1_0', 8],
    ] as const) {
      const { found } = await verify(configuration, parameters, { linear, embedding: f16 }, prompts.slice(0, rows));
      const { tokens, sameTokens, unexplainedTokens } = found!.figures;
      expect([found!.passed, tokens, unexplainedTokens]).toEqual([true, rows * 8, 0]);
      expect(sameTokens! / tokens!).toBeGreaterThan(0.98);
    }
  });

  it('another student is told apart', async () => {
    const configuration = tinyConfiguration();
    const encoding = { linear: 'TQ2_0', embedding: f16 } as const;
    const write = async (
      seed: number,
    ): Promise<{ path: string; plan: Awaited<ReturnType<typeof writeGgufModel>>['plan'] }> => {
      const path = join(folder, `seed-${String(seed)}.gguf`);
      const parameters = tinyParameters(configuration);
      // One layer's norm of 28 tensors is another one.
      if (seed === 2) parameters.view('model.layers.1.post_attention_layernorm.weight').fill(1);
      const model = { name: 'tiny', configuration, tensors: tensorsInMemory(parameters), tokenizer: tokenizerFolder };
      return { path, plan: (await writeGgufModel(path, model, encoding)).plan };
    };
    const [right, wrong] = [await write(1), await write(2)];
    const check = async (path: string): Promise<ExportCheck> =>
      llamaCppCheck(
        await compareWithLlamaCpp(
          component!,
          { ...right, path, ours: right.path, configuration, encoding, values: right.path },
          { prompts: tinyPrompts(4, 1536), threads: 1 },
        ),
      );
    expect((await check(right.path)).passed).toBe(true);
    expect((await check(wrong.path)).passed).toBe(false);
  });

  it('leaves no file of its own', async () => {
    expect((await readdir(folder)).filter((name) => name.includes('twin'))).toEqual([]);
  });
});

describe('without llama.cpp', () => {
  it('the export says that it was not tried there, and is done', async () => {
    const configuration = tinyConfiguration();
    const path = join(folder, 'alone.gguf');
    const model = {
      name: 'tiny',
      configuration,
      tensors: tensorsInMemory(tinyParameters(configuration)),
      tokenizer: tokenizerFolder,
    };
    const options = { prompts: tinyPrompts(2, 1536), threads: 1, llamaCpp: null, onProgress: () => Promise.resolve() };
    const { untried, checks } = await writeVerifiedGguf(path, model, { linear: 'TQ2_0', embedding: f16 }, options);
    expect(untried).toEqual([
      {
        program: 'llama.cpp',
        id: 'untried.not-installed',
        reason: expect.stringContaining('components install llama.cpp'),
      },
    ]);
    expect(checks.map(({ name }) => name)).toEqual(['tensors', 'parser', 'runtime']);
    // Nothing to be tried there: only bitnet.cpp reads it.
    const other = await writeVerifiedGguf(path, model, { linear: 'I2_S', embedding: f16 }, options);
    expect(other.untried).toEqual([]);
  });
});
