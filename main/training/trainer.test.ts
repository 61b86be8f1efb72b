/** The parts of the trainer by themselves: order of rows, schedule, checkpoints. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { optimiserSettings } from '../contract/recipe.ts';
import { parseConfiguration } from '../models/architectures/index.ts';
import { initialParameters } from '../models/initial-parameters.ts';
import type { ParameterBuffer } from '../models/parameters.ts';
import { epochOrder, type Example, exampleBatches, microBatches } from './batches.ts';
import { rowsInMemory } from './fixtures/rows-in-memory.ts';
import { restoreCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { GammaBalance } from './gamma-balance.ts';
import { Random } from '../basics/random.ts';
import { learningRateAt, ternaryShareAt } from './schedule.ts';

const examples = Array.from({ length: 103 }, (_, index): Example => {
  const length = 4 + ((index * 7) % 23);
  return { ids: Int32Array.from({ length }, (_, at) => (index + at) % 50), responseStart: length - 1 };
});
const lengths = Int32Array.from(examples, ({ ids }) => ids.length);

/** All batches of an epoch of 8 rows each. */
function epoch(seed: number, number: number): Int32Array[] {
  const order = epochOrder(lengths, 8, seed, number);
  return Array.from({ length: order.batches }, (_, batch) => order.at(batch));
}

describe('order of training rows', () => {
  it('shows each row once an epoch, another order each epoch, the same for the same seed', () => {
    const first = epoch(1, 0);
    expect(first.flatMap((batch) => [...batch]).sort((a, b) => a - b)).toEqual([...examples.keys()]);
    expect(epoch(1, 0)).toEqual(first);
    expect(epoch(1, 1)).not.toEqual(first);
    expect(epoch(2, 0)).not.toEqual(first);
  });

  it('puts rows of similar length together', () => {
    const waste = (order: Int32Array[]): number =>
      order.reduce((sum, batch) => {
        const longest = Math.max(...batch.map((index) => lengths[index]!));
        return sum + batch.reduce((inner, index) => inner + longest - lengths[index]!, 0);
      }, 0);
    const grouped = waste(epoch(1, 0));
    const plain = waste(
      Array.from({ length: 13 }, (_, at) => Int32Array.from(examples.keys()).slice(at * 8, at * 8 + 8)),
    );
    expect(grouped).toBeLessThan(plain / 3);
  });

  it('gives any step without the ones before it', async () => {
    const settings = { batchSize: 8, microBatchTokens: 64, seed: 3 };
    const straight = exampleBatches(rowsInMemory(examples), settings);
    for (let step = 1; step < 20; step += 1) await straight.at(step);
    expect(await exampleBatches(rowsInMemory(examples), settings).at(20)).toEqual(await straight.at(20));
  });

  it('cuts a step into micro-batches within the token limit, losing no target', () => {
    const micro = microBatches(examples.slice(0, 32), 64);
    for (const { batch, length } of micro) expect(batch === 1 || batch * length <= 64).toBe(true);
    expect(micro.reduce((sum, { targets }) => sum + targets.length, 0)).toBe(32);
    for (const { ids, targetPositions, targets, length, lengths: valid } of micro)
      targetPositions.forEach((position, index) => {
        expect(ids[position + 1]).toBe(targets[index]);
        expect((position % length) + 1).toBeLessThan(valid[Math.floor(position / length)]!);
      });
  });

  it('changes its fingerprint with any token', () => {
    const settings = { batchSize: 8, microBatchTokens: 64, seed: 3 };
    const changed = [...examples];
    changed[50] = { ...examples[50]!, ids: examples[50]!.ids.map((id, at) => (at === 0 ? id + 1 : id)) };
    expect(exampleBatches(rowsInMemory(changed), settings).fingerprint).not.toBe(
      exampleBatches(rowsInMemory(examples), settings).fingerprint,
    );
  });
});

describe('learning rate', () => {
  const settings = (schedule: 'linear' | 'cosine' | 'constant') =>
    optimiserSettings.parse({ learningRate: 1, schedule, warmup: 0.1 });
  it('rises in the warm-up and follows its schedule', () => {
    expect([1, 5, 10].map((step) => learningRateAt(step, 100, settings('linear')))).toEqual([0.1, 0.5, 1]);
    expect(learningRateAt(11, 100, settings('linear'))).toBe(1);
    expect(learningRateAt(56, 100, settings('linear'))).toBeCloseTo(0.5, 10);
    expect(learningRateAt(100, 100, settings('linear'))).toBeCloseTo(1 / 90, 10);
    expect(learningRateAt(56, 100, settings('cosine'))).toBeCloseTo(0.5, 10);
    expect(learningRateAt(33, 100, settings('cosine'))).toBeGreaterThan(learningRateAt(33, 100, settings('linear')));
    expect(learningRateAt(99, 100, settings('constant'))).toBe(1);
  });
});

describe('annealing', () => {
  it('leads evenly from full precision to ternary', () => {
    const shares = [1, 2, 3, 4, 5, 6, 10].map((step) => ternaryShareAt(step, 10, 0.5));
    expect(shares).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1, 1].map((share) => expect.closeTo(share, 12)));
  });

  it('is off at 0: ternary from the first step', () => {
    expect(ternaryShareAt(1, 10, 0)).toBe(1);
  });
});

describe('balanced gamma', () => {
  it('reaches the wanted ratio and moves halfway in logarithms', () => {
    const balance = new GammaBalance(0.5);
    expect(balance.measure(1, 8, 2)).toBe(0.5);
    expect(balance.gamma).toBe(2);
    balance.measure(2, 32, 2);
    expect(balance.gamma).toBe(4);
  });
});

describe('checkpoints', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tritsmith-checkpoint-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const configuration = parseConfiguration(
    JSON.stringify({
      model_type: 'llama',
      hidden_act: 'silu',
      vocab_size: 16,
      hidden_size: 8,
      intermediate_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      tie_word_embeddings: true,
    }),
  );
  const buffers = (seed: number) => {
    const random = new Random(seed);
    const make = (): ParameterBuffer => initialParameters(configuration, () => random.normal());
    return { parameters: make(), firstMoment: make(), secondMoment: make() };
  };
  const state = { gamma: 1.25, configuration: 'a' };

  it('come back bit for bit', async () => {
    const saved = buffers(1);
    await saveCheckpoint(folder, 7, saved, state);
    const loaded = buffers(2);
    const { found } = await restoreCheckpoint(folder, loaded, 'a');
    expect(found).toEqual({ step: 7, state });
    for (const kind of ['parameters', 'firstMoment', 'secondMoment'] as const)
      expect(loaded[kind].values).toEqual(saved[kind].values);
  });

  it('keep two generations and nothing half-written', async () => {
    for (const step of [1, 2, 3]) await saveCheckpoint(folder, step, buffers(step), state);
    expect(readdirSync(folder).sort()).toEqual([
      'step-000000002.json',
      'step-000000002.safetensors',
      'step-000000003.json',
      'step-000000003.safetensors',
    ]);
  });

  it.each([
    ['truncated', (path: string) => truncateSync(path, 500)],
    ['missing', (path: string) => rmSync(path)],
    ['without its manifest', (path: string) => rmSync(path.replace(/safetensors$/, 'json'))],
    [
      'with one flipped bit',
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[bytes.length - 3]! ^= 4;
        writeFileSync(path, bytes);
      },
    ],
  ])('fall back to the one before when the last is %s, and say so', async (_, damage) => {
    for (const step of [1, 2]) await saveCheckpoint(folder, step, buffers(step), state);
    damage(join(folder, 'step-000000002.safetensors'));
    const loaded = buffers(9);
    const { found, passedOver } = await restoreCheckpoint(folder, loaded, 'a');
    expect(found?.step).toBe(1);
    expect(loaded.parameters.values).toEqual(buffers(1).parameters.values);
    expect(passedOver).toEqual([
      expect.stringMatching(/^A damaged checkpoint was passed over: step-000000002\.json: ./),
    ]);
  });

  it('of another configuration are not used, which is said, and make room for those of this one', async () => {
    for (const step of [7, 8]) await saveCheckpoint(folder, step, buffers(step), state);
    const { found, passedOver } = await restoreCheckpoint(folder, buffers(2), 'b');
    expect(found).toBeNull();
    expect(passedOver[0]).toMatch(/settings or rows have changed since: step-000000008\.json$/);
    await saveCheckpoint(folder, 3, buffers(3), { ...state, configuration: 'b' });
    expect(readdirSync(folder).sort()).toEqual(['step-000000003.json', 'step-000000003.safetensors']);
  });
});
