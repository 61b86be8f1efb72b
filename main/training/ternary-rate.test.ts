/** Ternary latents that are trained in units of delta (docs/method.md, 5.6). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Random } from '../basics/random.ts';
import { optimiserSettings } from '../contract/recipe.ts';
import type { MetricValues } from '../contract/metric-names.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { tinyConfiguration, tinyParameters } from '../models/fixtures/tiny-model.ts';
import { Network } from '../models/network.ts';
import type { ParameterBuffer } from '../models/parameters.ts';
import { exampleBatches } from './batches.ts';
import { rowsInMemory } from './fixtures/rows-in-memory.ts';
import { learningRateAt, slower, ternaryPeak, ternaryTravel } from './schedule.ts';
import { train } from './trainer.ts';
import { TrainingStep } from './training-step.ts';

const root = mkdtempSync(join(tmpdir(), 'tritsmith-rate-'));
afterAll(() => rmSync(root, { recursive: true }));

/** No epsilon in its norms, so that their output is the same, bit for bit, when their input is twice as large. */
const absmean = tinyConfiguration({
  architecture: 'qwen3',
  vocabSize: 48,
  hiddenSize: 16,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headSize: 8,
  ffnSize: 24,
  rmsNormEpsilon: 0,
  qkNorm: 'head',
});
const learned: ModelConfiguration = { ...absmean, quantisation: { weights: { scale: 'learned', group: 'tensor' } } };
/** What a norm follows: the q and k norm, and the SubLN of o and of down. By other powers of two in each layer. */
const scales: Record<string, number> = { q: 8, k: 1 / 4, v: 32, up: 1 / 16 };

/** The same function from latents of another size. */
function rescale(parameters: ParameterBuffer, back = false): void {
  for (const { name, local, layer } of parameters.specifications) {
    // A learned scale goes with its matrix.
    const scale = (scales[local.replace('.delta', '')] ?? 1) ** (layer === 1 ? -1 : 1);
    const values = parameters.view(name);
    for (const [at, value] of values.entries()) values[at] = back ? value / scale : value * scale;
  }
}

const random = new Random(5);
const rows = Array.from({ length: 24 }, () => ({
  ids: Int32Array.from({ length: 6 + random.below(6) }, () => random.below(48)),
  responseStart: 3,
}));

async function trained(
  name: string,
  ternaryRate: number | 'auto' | undefined,
  rescaled: boolean,
  configuration = absmean,
) {
  const parameters = tinyParameters(configuration);
  if (rescaled) rescale(parameters);
  const network = await Network.create(configuration, parameters, { threads: 1, mode: 'training' });
  const step = await TrainingStep.create(network, null, { threads: 1 });
  const settings = { batchSize: 8, microBatchTokens: 64, seed: 1 };
  const metrics: MetricValues[] = [];
  await train(
    {
      network,
      trainingStep: step,
      batches: exampleBatches(rowsInMemory(rows), settings),
      // The gradients are clipped, so that their norm is part of what must not depend on the scale.
      optimiser: optimiserSettings.parse({ learningRate: 2e-3, clipNorm: 0.05, weightDecay: 0.1, ternaryRate }),
      totalSteps: 8,
      checkpoint: { folder: join(root, name), steps: 100, minutes: 100 },
      configuration: name,
    },
    {
      stopRequested: () => null,
      onStep: ({ values }) => metrics.push(values),
      onCheckpoint: () => undefined,
      onWarning: () => undefined,
    },
  );
  await step.release();
  await network.release();
  if (rescaled) rescale(parameters, true);
  return { values: parameters.values, metrics };
}

describe('ternary latents trained in units of delta', () => {
  it.each([
    ['absmean', absmean],
    ['learned scales', learned],
  ])('take the same steps, bit for bit, whatever the size of the weights: %s', async (name, configuration) => {
    const plain = await trained(`plain, ${name}`, 0.1, false, configuration);
    const scaled = await trained(`scaled, ${name}`, 0.1, true, configuration);
    expect(scaled.values).toEqual(plain.values);
    expect(scaled.metrics.map((values) => values['gradient-norm'])).toEqual(
      plain.metrics.map((values) => values['gradient-norm']),
    );
    expect(plain.metrics.at(-1)!['moved-fraction']).toBeGreaterThan(0.05);
  });

  it('take other steps with the one learning rate of everything', async () => {
    const plain = await trained('plain-rate', undefined, false);
    const scaled = await trained('scaled-rate', undefined, true);
    const worst = scaled.values.reduce((most, value, at) => Math.max(most, Math.abs(value - plain.values[at]!)), 0);
    expect(worst).toBeGreaterThan(1e-3);
  });

  it('move at most by their rate times delta, and nothing else by it', async () => {
    const rate = 1e-4;
    const before = tinyParameters(absmean);
    const { values } = await trained('slow', rate, false);
    const after = new Map<boolean, number>();
    let at = 0;
    for (const { name, size, ternary } of before.specifications) {
      const start = before.view(name);
      const delta = start.reduce((sum, value) => sum + Math.abs(value), 0) / size;
      for (let index = 0; index < size; index += 1) {
        const unit = ternary ? delta : 1;
        const moved = Math.abs(values[at + index]! - start[index]!) / unit;
        after.set(ternary, Math.max(after.get(ternary) ?? 0, moved));
      }
      at += size;
    }
    // Adam's first steps may be a little longer than the rate.
    expect(after.get(true)).toBeLessThan(8 * rate * 1.5 + 8 * 2e-3 * 0.1 * 4);
    expect(after.get(true)).toBeGreaterThan(rate);
    expect(after.get(false)).toBeGreaterThan(1e-3);
  });
});

describe('the peak of the ternary rate', () => {
  const settings = optimiserSettings.parse({ learningRate: 1e-3, ternaryRate: 'auto' });

  it('lets a weight move as far as its schedule adds up to', () => {
    const own = (schedule: 'linear' | 'cosine' | 'constant') => ({ ...settings, schedule, warmup: 0 });
    expect(ternaryTravel(200, own('constant'), 7)).toBeCloseTo(2, 9);
    expect(ternaryTravel(199, own('linear'), 7)).toBeCloseTo(1, 9);
    expect(ternaryTravel(199, own('cosine'), 7)).toBeCloseTo(1, 9);
    // Without a rate of its own a weight moves by the learning rate, which delta makes much or little.
    expect(ternaryTravel(200, { ...own('constant'), ternaryRate: undefined }, 0.1)).toBeCloseTo(2, 9);
  });

  it('is what the recipe says, a hundredth of a bin by itself, and none without a word', () => {
    expect(ternaryPeak(settings)).toBe(0.01);
    expect(ternaryPeak({ ternaryRate: 0.02 })).toBe(0.02);
    expect(ternaryPeak({})).toBeNull();
    expect(slower(settings, 0.2)).toEqual({ ...settings, learningRate: 0.2e-3, ternaryRate: 0.002 });
    expect(slower({ ...settings, ternaryRate: undefined }, 0.5)).toMatchObject({
      learningRate: 0.5e-3,
      ternaryRate: undefined,
    });
  });

  it('follows the schedule of the learning rate', () => {
    for (const step of [1, 2, 50, 100])
      expect(learningRateAt(step, 100, settings, 0.5)).toBeCloseTo(500 * learningRateAt(step, 100, settings), 12);
  });
});
