/** The scales of AWQ go through a layer without changing what it computes in full precision, wherever they can be folded in. */
import { describe, expect, it } from 'vitest';
import { Random } from '../basics/random.ts';
import { parseConfiguration } from '../models/architectures/index.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { initialParameters } from '../models/initial-parameters.ts';
import { inputSites, valueRows } from '../models/input-sites.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer, windowSpecifications } from '../models/parameters.ts';
import { quantiseMatrix } from '../models/ternary-weights.ts';
import { inFullPrecision, LayerCalibration } from './layer-calibration.ts';

const settings = {
  vocab_size: 96,
  hidden_size: 48,
  intermediate_size: 96,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: 'silu',
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};
function shapeOf(model: string, subln: ModelConfiguration['subln']): ModelConfiguration {
  return { ...parseConfiguration(JSON.stringify({ ...settings, model_type: model })), ternary: true, subln };
}

/** Parameters of one layer, all of them random, and the inputs of two rows. */
function sample(configuration: ModelConfiguration): { parameters: ParameterBuffer; hidden: Float32Array } {
  const random = new Random(5);
  const all = initialParameters(configuration, () => random.normal());
  const parameters = new ParameterBuffer(windowSpecifications(configuration, 0, 1));
  for (const { name, shape } of parameters.specifications) {
    const values = parameters.view(name);
    values.set(all.view(name));
    if (shape.length === 1) for (let at = 0; at < values.length; at += 1) values[at] = 0.5 + random.uniform();
  }
  const channels = (count: number) => Float32Array.from({ length: count }, () => Math.exp(random.normal()));
  const [sizes, ofValues, ofUnits] = [channels(48), channels(configuration.kvHeads * 12), channels(96)];
  const named = new Map(parameters.specifications.map(({ local, name, shape }) => [local, { name, shape }]));
  const values = valueRows(configuration);
  /** Multiplies the rows or divides the columns of a matrix, so that weights are small where inputs are large: there scales of channels are worth something. */
  const scale = (local: string, factor: (row: number, column: number) => number): void => {
    const { name, shape } = named.get(local)!;
    const view = parameters.view(name);
    for (let at = 0; at < view.length; at += 1) view[at]! *= factor(Math.floor(at / shape[1]!), at % shape[1]!);
  };
  for (const local of ['q', 'k', 'v', 'gate', 'up']) scale(local, (_, column) => 1 / sizes[column]!);
  scale('v', (row) => ofValues[row % ofValues.length]!);
  scale('o', (_, column) => 1 / ofValues[values[column]! % ofValues.length]!);
  scale('up', (row) => ofUnits[row]!);
  scale('down', (_, column) => 1 / ofUnits[column]!);
  return {
    parameters,
    hidden: Float32Array.from({ length: 2 * 8 * 48 }, (_, at) => random.normal() * sizes[at % 48]!),
  };
}
const lengths = [8, 5];

async function calibrated(configuration: ModelConfiguration, method: 'gptq' | 'awq') {
  const { parameters, hidden } = sample(configuration);

  const dense = await Network.create({ ...configuration, ternary: false }, inFullPrecision(parameters), {
    threads: 1,
    mode: 'inference',
  });
  const outputs = async () => Float32Array.from((await dense.forward({ hidden, batch: 2, length: 8 })).hidden);
  const before = await outputs();
  const student = new ParameterBuffer(parameters.specifications, Float32Array.from(parameters.values));
  const batches = async function* () {
    await Promise.resolve();
    yield { hidden, lengths, length: 8 };
  };
  await new LayerCalibration(dense, student, configuration, { method, damping: 0.01 }, batches).run();
  const after = await outputs();
  await dense.release();
  return { parameters, student, dense: dense.parameters, before, after };
}

describe.each([
  ['qwen2', 'none'],
  ['qwen2', 'paper'],
  ['llama', 'all'],
  ['qwen3', 'paper'],
  ['olmo2', 'none'],
] as const)('a layer of %s with SubLN "%s"', (model, subln) => {
  const configuration = shapeOf(model, subln);

  it('AWQ: computes in full precision what it did, with other weights', async () => {
    const { parameters, student, dense, before, after } = await calibrated(configuration, 'awq');
    const norm = Math.hypot(...before);
    expect(Math.hypot(...before.map((value, at) => value - after[at]!)) / norm).toBeLessThan(2e-6);
    const changed = parameters.specifications
      .filter(({ name }) => dense.view(name).some((value, at) => value !== parameters.view(name)[at]))
      .map(({ local }) => local);
    expect(changed).toContain('down');
    // OLMo 2 has no norm before q, k and v, so they can have no scales.
    expect(changed.includes('q')).toBe(model !== 'olmo2');
    expect(inputSites(configuration).filter(({ fold }) => fold === null)).toHaveLength(model === 'olmo2' ? 2 : 0);
    // The student has the norms and biases that belong to its codes.
    for (const { name, ternary } of parameters.specifications)
      if (!ternary) expect(student.view(name)).toEqual(dense.view(name));
  });

  it('GPTQ: the latent weights make the codes that the layer was rounded to, and nothing else changes', async () => {
    const { parameters, student, dense } = await calibrated(configuration, 'gptq');
    for (const { name, shape, ternary } of parameters.specifications) {
      if (!ternary) {
        expect(student.view(name)).toEqual(parameters.view(name));
        continue;
      }
      const { values, scales } = quantiseMatrix(student.view(name), shape, configuration.quantisation);
      const rounded = values.map((code) => code * scales[0]!);
      const worst = rounded.reduce((most, value, at) => Math.max(most, Math.abs(value - dense.view(name)[at]!)), 0);
      expect(worst).toBeLessThan(1e-6 * scales[0]!);
    }
  });
});
