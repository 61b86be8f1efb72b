/** Learned scales (docs/method.md, 2.10): where they start, which gradient they have, and that they are trained. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { native } from '../../native/index.ts';
import { Random } from '../basics/random.ts';
import { optimiserSettings } from '../contract/recipe.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { tinyConfiguration, tinyParameters } from '../models/fixtures/tiny-model.ts';
import { Network } from '../models/network.ts';
import { learnedScaleName, ParameterBuffer } from '../models/parameters.ts';
import { startLearnedScales } from '../models/ternary-weights.ts';
import { type Example, exampleBatches, microBatches } from './batches.ts';
import { rowsInMemory } from './fixtures/rows-in-memory.ts';
import { train } from './trainer.ts';
import { TrainingStep } from './training-step.ts';

const root = mkdtempSync(join(tmpdir(), 'tritsmith-learned-'));
afterAll(() => rmSync(root, { recursive: true }));

const shape = { vocabSize: 64, hiddenSize: 64, layers: 2, heads: 2, kvHeads: 1, headSize: 32, ffnSize: 128 };
const of = (scale: 'absmean' | 'learned', group: 'tensor' | 'row' | 64): ModelConfiguration =>
  tinyConfiguration({ ...shape, quantisation: { weights: { scale, group } } });

const random = new Random(4);
const examples = Array.from({ length: 24 }, (): Example => {
  const length = 5 + random.below(6);
  return { ids: Int32Array.from({ length }, () => random.below(shape.vocabSize)), responseStart: 2 };
});

/** The same values, and learned scales where they start. */
function learnedOf(plain: ParameterBuffer, configuration: ModelConfiguration): ParameterBuffer {
  const parameters = tinyParameters(configuration);
  for (const { name, scaleOf } of parameters.specifications)
    if (scaleOf === null) parameters.view(name).set(plain.view(name));
  startLearnedScales(parameters);
  return parameters;
}

async function opened(configuration: ModelConfiguration, parameters: ParameterBuffer, float32 = false) {
  const network = await Network.create(configuration, parameters, {
    threads: 1,
    mode: 'training',
    ...(float32 && { arithmetic: { products: 'float32' } }),
  });
  const step = await TrainingStep.create(network, null, { threads: 1 });
  const gradients = new ParameterBuffer(parameters.specifications);
  const close = async (): Promise<void> => {
    await step.release();
    await network.release();
  };
  return { network, step, gradients, close };
}

const matricesOf = ({ specifications }: ParameterBuffer) => specifications.filter(({ ternary }) => ternary);

describe('learned scales', () => {
  it.each(['tensor', 'row', 64] as const)(
    'begin as absmean, one for each %s: the same loss and gradients, bit for bit, and one of their own',
    async (group) => {
      const plain = tinyParameters(of('absmean', group));
      const parameters = learnedOf(plain, of('learned', group));
      const [before, after] = [
        await opened(of('absmean', group), plain),
        await opened(of('learned', group), parameters),
      ];
      const micro = microBatches(examples, 128);
      const expected = await before.step.run(1, micro, before.gradients);
      const found = await after.step.run(1, micro, after.gradients);
      expect(found.total).toBe(expected.total);
      for (const { name, scaleOf } of parameters.specifications) {
        if (scaleOf === null) {
          expect(after.gradients.view(name), name).toEqual(before.gradients.view(name));
          continue;
        }
        const scales = parameters.view(name);
        const { shape: matrix } = parameters.specifications.find((each) => each.name === scaleOf)!;
        expect(scales.length, name).toBe({ tensor: 1, row: matrix[0], 64: (matrix[0]! * matrix[1]!) / 64 }[group]);
        const gradient = new Float32Array(scales.length);
        const [weights, slopes] = [parameters.view(scaleOf), after.gradients.view(scaleOf)];
        native.learnedScaleGradient(weights, scales, slopes, gradient, 1, Infinity);
        expect(after.gradients.view(name), name).toEqual(gradient);
        expect(gradient.every((value) => value !== 0)).toBe(true);
      }
      await before.close();
      await after.close();
    },
  );

  it.each([
    ['hard', 1, Infinity],
    ['annealed', 0.4, Infinity],
    ['soft', 1, 3],
  ] as const)('have their gradient layer by layer as all at once: %s codes', async (_, share, sharpness) => {
    const configuration = of('learned', 'tensor');
    const { network, step, gradients, close } = await opened(configuration, tinyParameters(configuration), true);
    network.refreshTernary(share, sharpness);
    const micro = microBatches(examples, 64);
    expect(micro.length).toBeGreaterThan(1);
    await step.run(1, micro, gradients);
    const whole = gradients.values.slice();
    gradients.values.fill(7);
    const told: number[] = [];
    await step.run(1, micro, gradients, undefined, undefined, (from) => told.push(from));
    expect(told.length).toBeGreaterThan(1);
    expect(gradients.values).toEqual(whole);
    await close();
  });

  it('are trained with everything else: the loss falls, and no scale stays where it was or is the mean again', async () => {
    const configuration = of('learned', 'tensor');
    const parameters = tinyParameters(configuration);
    const start = new Map(
      matricesOf(parameters).map(({ name }) => [name, parameters.view(learnedScaleName(name))[0]!] as const),
    );
    const { network, step, close } = await opened(configuration, parameters);
    const losses: number[] = [];
    await train(
      {
        network,
        trainingStep: step,
        batches: exampleBatches(rowsInMemory(examples), { batchSize: 12, microBatchTokens: 256, seed: 1 }),
        optimiser: optimiserSettings.parse({ learningRate: 2e-3, batchSize: 12 }),
        totalSteps: 60,
        checkpoint: { folder: join(root, 'trained'), steps: 1000, minutes: 100 },
        configuration: 'learned',
      },
      {
        stopRequested: () => null,
        onStep: ({ values }) => losses.push(values.loss!),
        onCheckpoint: () => undefined,
        onWarning: (text) => {
          throw new Error(text);
        },
      },
    );
    expect(losses.at(-1)! / losses[0]!).toBeLessThan(0.5);
    const moved: number[] = [];
    for (const { name } of matricesOf(parameters)) {
      const delta = parameters.view(learnedScaleName(name))[0]!;
      expect(network.ternary(name).delta).toBe(delta);
      moved.push(Math.abs(delta / start.get(name)! - 1));
      const weights = parameters.view(name);
      const mean = weights.reduce((sum, weight) => sum + Math.abs(weight), 0) / weights.length;
      expect(Math.abs(delta / mean - 1), name).toBeGreaterThan(1e-3);
    }
    expect(moved.every((share) => share > 0)).toBe(true);
    expect(moved.reduce((sum, share) => sum + share, 0) / moved.length).toBeGreaterThan(0.1);
    await close();
  });
});
