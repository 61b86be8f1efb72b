/**
 * Greedy text of 256 tokens: the native runtime, token by token with its cache of keys and values, beside the graph engine on the whole
 * text at once. The engine's choice at each place follows from the tokens before it, so a text with 256 same choices is the engine's
 * own greedy text.
 *
 * Full-precision models must agree in every token. In a ternary student the two add up in another order, so now and then an activation
 * that lies in the middle between two int8 steps rounds the other way, and everything after it moves a little (the engine moves as
 * much when its input changes by one part in a million: `sensitivity`). In a random model two tokens are sometimes so near to each
 * other that such a flip decides. The comparison then goes on from the runtime's token, and such a place counts as a flip only when
 * the engine's two logits lie nearer together than twice the largest difference, and that difference is of the size of the
 * sensitivity; otherwise it is a mistake, and the test fails. At least two of the five texts must stay untouched, and 99 of 100 tokens.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { tinyConfiguration, tinyParameters, tinyPrompts, tokenizerFolder } from '../../models/fixtures/tiny-model.ts';
import type { GgufEncoding } from './gguf-encoding.ts';
import { planGguf } from './gguf-layout.ts';
import { compareWithGraph, parametersOfFile, type RuntimeAgreement } from './runtime-check.ts';
import { tensorsInMemory } from './fixtures/tensors-in-memory.ts';
import { writeVerifiedGguf } from './verified-gguf.ts';

const newTokens = 256;
const texts = 5;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritsmith-greedy-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function continued(
  changes: Partial<ModelConfiguration>,
  encoding: GgufEncoding,
  broken?: string,
): Promise<RuntimeAgreement> {
  const configuration = tinyConfiguration({ maxPositions: 320, ...changes });
  const path = join(folder, 'student.gguf');
  const tensors = tensorsInMemory(tinyParameters(configuration));
  await writeVerifiedGguf(path, { name: 'tiny', configuration, tensors, tokenizer: tokenizerFolder }, encoding, {
    prompts: tinyPrompts(1, configuration.vocabSize),
    threads: 1,
    llamaCpp: null,
    onProgress: () => Promise.resolve(),
  });
  const parameters = await parametersOfFile(path, planGguf(configuration), configuration, tensors);
  if (broken !== undefined) parameters.view(broken).fill(1);
  const prompts = tinyPrompts(texts, configuration.vocabSize);
  return compareWithGraph(path, configuration, parameters, prompts, 1, undefined, newTokens);
}

it.each<[string, Partial<ModelConfiguration>]>([
  ['Llama', {}],
  ['Qwen2', { architecture: 'qwen2' }],
  ['Qwen3', { architecture: 'qwen3' }],
])('a full-precision %s model writes the same 256 tokens', async (_title, changes) => {
  const found = await continued({ ternary: false, subln: 'none', ...changes }, { linear: 'F16', embedding: 'F16' });
  expect(found).toMatchObject({ tokens: texts * newTokens, sameTokens: texts * newTokens, samePrompts: texts });
});

it.each<[string, Partial<ModelConfiguration>]>([
  ['Llama without SubLN', { subln: 'none' }],
  ['Llama, SubLN before o and down', {}],
  ['Qwen2 without SubLN', { architecture: 'qwen2', subln: 'none' }],
  ['Qwen2, SubLN before o and down, without bias', { architecture: 'qwen2', qkvBias: false }],
  ['Qwen3 without SubLN', { architecture: 'qwen3', subln: 'none' }],
  ['Qwen3, SubLN before o and down', { architecture: 'qwen3' }],
  ['Qwen3, SubLN before all seven', { architecture: 'qwen3', subln: 'all' }],
])('a ternary student writes the same 256 tokens but for explained int8 flips: %s', async (_title, changes) => {
  const found = await continued(changes, { linear: 'I2_S', embedding: 'F16' });
  expect(found.tokens).toBe(texts * newTokens);
  expect(found.samePrompts).toBeGreaterThanOrEqual(2);
  expect(found.sameTokens / found.tokens).toBeGreaterThan(0.99);
  expect(found.unexplainedTokens).toBe(0);
  expect(found.largestDifference).toBeLessThan(2 * found.sensitivity);
});

it('a norm that is forgotten in one layer shows at once', async () => {
  const found = await continued(
    {},
    { linear: 'I2_S', embedding: 'F16' },
    'model.layers.1.post_attention_layernorm.weight',
  );
  expect(found.samePrompts).toBe(0);
  expect(found.sameTokens / found.tokens).toBeLessThan(0.9);
  expect(found.largestDifference).toBeGreaterThan(5 * found.sensitivity);
});
