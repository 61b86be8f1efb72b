/** Virtual shards: 1, 2, 4 and 8 ranks train one student, bit for bit, and a run goes on with another number of them. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native } from '../../native/index.ts';
import { fileSha256 } from '../basics/file-digest.ts';
import { Random } from '../basics/random.ts';
import { type OptimiserSettings, optimiserSettings } from '../contract/recipe.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { tinyConfiguration } from '../models/fixtures/tiny-model.ts';
import { initialParameters } from '../models/initial-parameters.ts';
import { Network } from '../models/network.ts';
import { ParameterBuffer, parameterSpecifications, windowSpecifications } from '../models/parameters.ts';
import { startLearnedScales } from '../models/ternary-weights.ts';
import { type Example, exampleBatches, shuffledBatches } from './batches.ts';
import { alone, type Collective } from './collective.ts';
import { ExchangeRests } from './exchange-rests.ts';
import { asRanks } from './fixtures/ranks-in-memory.ts';
import { rowsInMemory } from './fixtures/rows-in-memory.ts';
import { sliceBounds, stretchesOf, TreeSum } from './shards.ts';
import { shardMemory } from './step-memory.ts';
import { train, type TrainerHooks } from './trainer.ts';
import { TrainingStep } from './training-step.ts';
import { type WindowBatch, WindowStep } from './window-step.ts';

const student = tinyConfiguration({
  vocabSize: 61,
  hiddenSize: 32,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  headSize: 16,
  ffnSize: 48,
});
const learned = { ...student, quantisation: { weights: { scale: 'learned', group: 'tensor' } } } as const;
const teacher = { ...student, ternary: false, subln: 'none' } as const;
const threads = 1;

const random = new Random(5);
const examples = Array.from({ length: 37 }, (): Example => {
  const length = 4 + random.below(9);
  return { ids: Int32Array.from({ length }, () => random.below(student.vocabSize)), responseStart: length - 2 };
});

/** Sets what checkpoints of a rounded exchange carry over to 0. */
async function forgetRests(folder: string): Promise<void> {
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.safetensors'))) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    const headerBytes = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<
      string,
      { data_offsets?: [number, number] }
    >;
    const rests = Object.entries(header).filter(([tensor]) => /Rest/.test(tensor));
    let carried = false;
    for (const [, { data_offsets: [begin, end] = [0, 0] }] of rests) {
      const data = bytes.subarray(8 + headerBytes + begin, 8 + headerBytes + end);
      carried ||= data.some((byte) => byte !== 0);
      data.fill(0);
    }
    expect(carried, name).toBe(true);
    writeFileSync(path, bytes);
    const manifest = path.replace(/safetensors$/, 'json');
    const content = JSON.parse(readFileSync(manifest, 'utf8')) as object;
    writeFileSync(manifest, JSON.stringify({ ...content, sha256: await fileSha256(path) }));
  }
}

interface Run {
  readonly parameters: Float32Array;
  readonly curves: Record<string, number>[];
}

/** Curves that measure time or traffic, and differ with it. */
const timed = /second|bytes/;

function hooksOf(curves: Record<string, number>[], pauseAfter = Infinity): TrainerHooks {
  let steps = 0;
  return {
    stopRequested: () => (steps >= pauseAfter ? 'pause' : null),
    onStep: ({ values }) => {
      steps += 1;
      curves.push(
        Object.fromEntries(Object.entries(values).filter(([name]) => !timed.test(name)) as [string, number][]),
      );
    },
    onCheckpoint: () => undefined,
    onWarning: (text) => {
      throw new Error(text);
    },
  };
}

const settings = optimiserSettings.parse({
  learningRate: 2e-3,
  batchSize: 12,
  microBatchTokens: 64,
  ternaryRate: 'auto',
});

/** Distils with a balanced attention term; rank 0's student. */
async function distil(
  folder: string,
  collective: Collective,
  {
    optimiser = settings,
    pauseAfter = Infinity,
    rounded,
    stretchValues = 1,
    totalSteps = 6,
    model = student,
  }: {
    optimiser?: OptimiserSettings;
    pauseAfter?: number;
    rounded?: number;
    stretchValues?: number;
    totalSteps?: number;
    model?: ModelConfiguration;
  } = {},
  shards: number | null = 8,
): Promise<Run> {
  const draws = new Random(11);
  const draw = () => draws.normal();
  const parameters = initialParameters(model, draw);
  const network = await Network.create(model, parameters, { threads, mode: 'training' });
  const taught = await Network.create(teacher, initialParameters(teacher, draw), { threads, mode: 'inference' });
  const trainingStep = await TrainingStep.create(
    network,
    {
      teacher: taught,
      lambda: 1,
      tau: 2,
      tauSquared: false,
      logitsTokens: 'response',
      teacherLayer: 1,
      studentLayer: 1,
      splitHeads: 2,
      gamma: 'balanced',
      gammaRatio: 0.5,
      hidden: 0.5,
    },
    { threads },
  );
  const curves: Record<string, number>[] = [];
  await train(
    {
      network,
      trainingStep,
      batches: exampleBatches(rowsInMemory(examples), {
        batchSize: 12,
        microBatchTokens: optimiser.microBatchTokens,
        seed: 2,
      }),
      optimiser,
      totalSteps,
      checkpoint: { folder, steps: 100, minutes: 100 },
      configuration: 'this',
      ...(shards === null
        ? {}
        : { shards: { count: shards, collective, stretchValues, ...(rounded === undefined ? {} : { rounded }) } }),
    },
    hooksOf(curves, pauseAfter),
  );
  await trainingStep.release();
  await network.release();
  await taught.release();
  return { parameters: parameters.values.slice(), curves };
}

/** Reconstructs two layers from states of random numbers. */
async function reconstruct(
  folder: string,
  collective: Collective,
  {
    optimiser = settings,
    stretchValues = 1,
    onFinal = () => undefined,
    model = student,
  }: {
    optimiser?: OptimiserSettings;
    stretchValues?: number;
    onFinal?: (from: number) => unknown;
    model?: ModelConfiguration;
  } = {},
): Promise<Run> {
  const draws = new Random(3);
  const parameters = new ParameterBuffer(windowSpecifications(model, 0, 2));
  parameters.values.set(Float32Array.from(parameters.values, () => 0.3 * draws.normal()));
  startLearnedScales(parameters);
  const network = await Network.create(model, parameters, {
    threads,
    mode: 'training',
    arithmetic: { products: 'float32' },
  });
  const width = student.hiddenSize;
  const states = Array.from({ length: 21 }, (_, row) =>
    Float32Array.from({ length: (2 + (row % 4)) * width }, () => draws.normal()),
  );
  const lengths = Int32Array.from(states, ({ length }) => length / width);
  const batches = shuffledBatches({ lengths, fingerprint: 'states' }, { batchSize: 10, seed: 1 }, (rows) =>
    Promise.resolve(
      [...rows].map((row): WindowBatch => {
        const inputs = states[row]!;
        return { batch: 1, length: lengths[row]!, lengths: [lengths[row]!], inputs, targets: inputs.map((x) => x / 2) };
      }),
    ),
  );
  const curves: Record<string, number>[] = [];
  const step = new WindowStep(network);
  await train<WindowBatch>(
    {
      network,
      trainingStep: {
        balance: null,
        count: (rows) => step.count(rows),
        run: (at, rows, gradients, between, totals, final) => {
          const told = (from: number): void => {
            onFinal(from);
            final?.(from);
          };
          return step.run(at, rows, gradients, between, totals, final && told);
        },
      },
      batches,
      optimiser,
      totalSteps: 5,
      soften: 0.8,
      checkpoint: { folder, steps: 2, minutes: 100 },
      configuration: 'window',
      shards: { count: 8, collective, stretchValues },
    },
    hooksOf(curves),
  );
  await network.release();
  return { parameters: parameters.values.slice(), curves };
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-shards-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a run in eight virtual shards', () => {
  it.each([
    ['distillation with a balanced attention term', distil],
    ['reconstruction of a window', reconstruct],
    ['distillation with learned scales', (to: string, ranks: Collective) => distil(to, ranks, { model: learned })],
    [
      'reconstruction with learned scales',
      (to: string, ranks: Collective) => reconstruct(to, ranks, { model: learned }),
    ],
  ] as const)(
    'gives one student with 1, 2, 4 and 8 ranks: %s',
    async (_, job: (folder: string, collective: Collective) => Promise<Run>) => {
      const one = await job(join(folder, '1'), alone);
      expect(one.curves.every(({ loss }) => Number.isFinite(loss))).toBe(true);
      for (const size of [2, 4, 8]) {
        const ranks = await asRanks(size, (collective) => job(join(folder, String(size)), collective));
        for (const rank of ranks) {
          expect(rank.parameters, `${size} ranks`).toEqual(one.parameters);
          expect(rank.curves, `${size} ranks`).toEqual(one.curves);
        }
      }
    },
  );

  it('sends the last layers on their way while the last pass backward computes the first, and changes no sum by that', async () => {
    const unclipped = optimiserSettings.parse({ learningRate: 2e-3, batchSize: 10, clipNorm: 0 });
    const events: string[] = [];
    const told = (of: Collective): Collective => ({
      ...of,
      reduceSlices: (values, ...args) => {
        if (of.rank === 0) events.push(`sends ${values.length}`);
        return of.reduceSlices(values, ...args);
      },
    });
    const run = async (name: string, stretchValues: number) => {
      events.length = 0;
      const onFinal = (from: number): number => events.push(`final from ${from}`);
      return asRanks(2, (collective) => {
        const more = { optimiser: unclipped, stretchValues, ...(collective.rank === 0 && { onFinal }) };
        return reconstruct(join(folder, name), told(collective), more);
      });
    };
    const layer = windowSpecifications(student, 0, 1).reduce((sum, { size }) => sum + size, 0);
    const cut = await run('cut', 1);
    const sends = `sends ${layer}`;
    expect(events.slice(0, 4)).toEqual([`final from ${layer}`, sends, 'final from 0', sends]);
    const whole = await run('whole', Infinity);
    expect(events.slice(0, 3)).toEqual([`final from ${layer}`, 'final from 0', `sends ${2 * layer}`]);
    expect(cut[0]!.parameters).toEqual(whole[0]!.parameters);
  });

  it('measures gamma, and is near the run without shards, whose sums have another order', async () => {
    const optimiser = optimiserSettings.parse({
      learningRate: 2e-3,
      batchSize: 12,
      microBatchTokens: 1024,
      clipNorm: 0,
    });
    const sharded = await distil(join(folder, 'shards'), alone, { optimiser });
    const whole = await distil(join(folder, 'whole'), alone, { optimiser }, null);
    expect(sharded.parameters).not.toEqual(whole.parameters);
    const [first, plain] = [sharded.curves[0]!, whole.curves[0]!];
    expect(first['gamma/gradient-ratio']).toBeGreaterThan(0);
    for (const name of ['loss/ce', 'loss/kd', 'loss/relation', 'loss/hidden', 'gamma', 'gradient-norm'])
      expect(first[name]! / plain[name]!, name).toBeCloseTo(1, 4);
  });

  it.each([
    [4, 1],
    [1, 8],
    [2, 4],
  ])(
    'goes on with another number of ranks, from %i to %i, as if it had not been interrupted',
    async (before, after) => {
      const straight = await distil(join(folder, 'straight'), alone);
      const broken = join(folder, 'broken');
      await asRanks(before, (collective) => distil(broken, collective, { pauseAfter: 3 }));
      const resumed = await asRanks(after, (collective) => distil(broken, collective));
      for (const { parameters, curves } of resumed) {
        expect(parameters).toEqual(straight.parameters);
        expect(curves).toEqual(straight.curves.slice(3));
      }
    },
  );
});

describe('a run in eight virtual shards whose exchange is rounded in four parts', () => {
  const rounded = 4;

  it('gives one student with 1, 2 and 4 ranks, another than without rounding but near it, for half of the bytes', async () => {
    const one = await distil(join(folder, '1'), alone, { rounded });
    for (const size of [2, 4]) {
      const ranks = await asRanks(size, (collective) => distil(join(folder, String(size)), collective, { rounded }));
      for (const rank of ranks) {
        expect(rank.parameters, `${size} ranks`).toEqual(one.parameters);
        expect(rank.curves, `${size} ranks`).toEqual(one.curves);
      }
    }
    const plain = await distil(join(folder, 'plain'), alone);
    expect(one.parameters).not.toEqual(plain.parameters);
    for (const [step, { loss }] of one.curves.entries()) expect(loss! / plain.curves[step]!.loss!).toBeCloseTo(1, 2);
    const sent = async (name: string, of: { rounded?: number }): Promise<number> =>
      (
        await asRanks(4, async (collective) => {
          await distil(join(folder, name), collective, { ...of, pauseAfter: 1 });
          return collective.sent();
        })
      )[0]!;
    const [less, all] = [await sent('less', { rounded }), await sent('all', {})];
    // Three quarters of gradients and parameters in two bytes less; the norms that balance gamma are those of whole gradients.
    expect((all - less) / one.parameters.length).toBeCloseTo(2 * 2 * (3 / 4), 1);
  });

  it.each([
    [4, 1],
    [1, 4],
    [2, 4],
  ])(
    'goes on from %i to %i ranks as if it had not been interrupted: a checkpoint keeps what is carried over',
    async (before, after) => {
      const straight = await distil(join(folder, 'straight'), alone, { rounded });
      const broken = join(folder, 'broken');
      await asRanks(before, (collective) => distil(broken, collective, { pauseAfter: 3, rounded }));
      const forgetful = join(folder, 'forgetful');
      cpSync(broken, forgetful, { recursive: true });
      const resumed = await asRanks(after, (collective) => distil(broken, collective, { rounded }));
      for (const { parameters, curves } of resumed) {
        expect(parameters).toEqual(straight.parameters);
        expect(curves).toEqual(straight.curves.slice(3));
      }
      await forgetRests(forgetful);
      expect((await distil(forgetful, alone, { rounded })).parameters).not.toEqual(straight.parameters);
    },
  );
});

describe('moments in bytes', () => {
  const optimiser: OptimiserSettings = { ...settings, moments: '8-bit' };
  /** Bytes of the last checkpoint, without what names them. */
  const checkpointBytes = (of: string): number => {
    const names = readdirSync(of).filter((each) => each.endsWith('.safetensors'));
    const bytes = readFileSync(join(of, names.sort().at(-1)!));
    return bytes.length - 8 - Number(bytes.readBigUInt64LE(0));
  };

  it('lie in blocks that are whole at every rank: 1, 2, 4 and 8 ranks train one student, also with a rounded exchange', async () => {
    for (const more of [{}, { rounded: 8 }, { stretchValues: 5000 }]) {
      const one = await distil(join(folder, '1'), alone, { optimiser, ...more });
      for (const size of [2, 4, 8]) {
        const ranks = await asRanks(size, (collective) =>
          distil(join(folder, String(size)), collective, { optimiser, ...more }),
        );
        for (const rank of ranks) expect(rank, `${size} ranks`).toEqual(one);
      }
      rmSync(folder, { recursive: true });
    }
  });

  it.each([
    [4, 1],
    [1, 8],
    [2, 4],
  ])('go on from %i to %i ranks as if nothing had interrupted them', async (before, after) => {
    const straight = await distil(join(folder, 'straight'), alone, { optimiser });
    const broken = join(folder, 'broken');
    await asRanks(before, (collective) => distil(broken, collective, { optimiser, pauseAfter: 3 }));
    for (const { parameters, curves } of await asRanks(after, (collective) =>
      distil(broken, collective, { optimiser }),
    )) {
      expect(parameters).toEqual(straight.parameters);
      expect(curves).toEqual(straight.curves.slice(3));
    }
  });

  it('make checkpoints smaller, from which a run without shards goes on bit for bit', async () => {
    const straight = await distil(join(folder, 'straight'), alone, { optimiser }, null);
    const broken = join(folder, 'broken');
    await distil(broken, alone, { optimiser, pauseAfter: 3 }, null);
    const resumed = await distil(broken, alone, { optimiser }, null);
    expect(resumed.parameters).toEqual(straight.parameters);
    expect(resumed.curves).toEqual(straight.curves.slice(3));
    await distil(join(folder, 'float32'), alone, {}, null);
    const blocks = parameterSpecifications(student).reduce((sum, { size }) => sum + Math.ceil(size / 256), 0);
    const saved = 8 * straight.parameters.length - 2 * (256 + 4) * blocks;
    expect(saved).toBeGreaterThan(0);
    expect(checkpointBytes(join(folder, 'float32')) - checkpointBytes(broken)).toBe(saved);
  });

  it('are those of this run alone: a checkpoint with moments in float32 is not read for them', async () => {
    await distil(join(folder, 'float32'), alone, { pauseAfter: 3 }, null);
    await expect(distil(join(folder, 'float32'), alone, { optimiser }, null)).rejects.toThrow('A damaged checkpoint');
  });

  it('train nearly as those in float32 do', async () => {
    const totalSteps = 60;
    const exact = await distil(join(folder, 'float32'), alone, { totalSteps }, null);
    const found = await distil(join(folder, 'bytes'), alone, { totalSteps, optimiser }, null);
    expect(found.parameters).not.toEqual(exact.parameters);
    const lossOf = ({ curves }: Run): number => curves.slice(-12).reduce((sum, { loss }) => sum + loss! / 12, 0);
    const [first, last] = [exact.curves[0]!.loss!, lossOf(exact)];
    expect(last).toBeLessThan(0.9 * first);
    expect(Math.abs(lossOf(found) - last) / (first - last)).toBeLessThan(0.03);
  });
});

describe('what is carried over', () => {
  it('brings in the end what rounding left out of a small change again and again', () => {
    const parameters = new ParameterBuffer(parametersOf(1));
    parameters.values.fill(0);
    const { length } = parameters.values;
    const rests = new ExchangeRests(parameters, [0], [{ begin: 0, end: length }]);
    // Its last part is half of what bfloat16 tells of such a number.
    const step = 2 ** -10 + 2 ** -19;
    const steps = 256;
    for (let times = 0; times < steps; times += 1) {
      const change = rests.changeOf(parameters.values, () =>
        parameters.values.forEach((value, at) => (parameters.values[at] = value + step)),
      );
      native.accumulate(parameters.values, change);
    }
    expect(parameters.values[0]! + rests.change[0]!).toBe(steps * step);
    expect(Math.abs(rests.change[0]!)).toBeLessThan(2 ** -18);

    const sum = new ParameterBuffer(parametersOf(1));
    let total = 0;
    for (let times = 0; times < 100; times += 1) {
      sum.values.fill(1.001);
      rests.round(0, sum.values, 0);
      total += sum.values[0]!;
    }
    // bfloat16 has 1 and 1.0078125 there; without the rest the sum would be 100.
    expect(total).toBeCloseTo(100.1, 1);
  });
});

describe('the parts of a sharded step', () => {
  it('are added in a tree, with no more buffers than its height and one', () => {
    const specifications = parametersOf(1);
    let made = 0;
    const tree = new TreeSum(() => {
      made += 1;
      return new ParameterBuffer(specifications);
    });
    const values = [1e8, 1, -1e8, 1, 3e-8, 5, 2, 7].map(Math.fround);
    let last = tree.take();
    for (const [at, value] of values.entries()) {
      if (at > 0) {
        tree.add(last);
        last = tree.take();
      }
      last.values.fill(value);
    }
    const { length } = last.values;
    const parts = [tree.addLast(last, { begin: 5, end: length }), tree.addLast(last, { begin: 0, end: 5 })];
    const root = tree.end(last).values;
    const pair = (a: number, b: number): number => Math.fround(a + b);
    const [a, b, c, d, e, f, g, h] = values as [number, number, number, number, number, number, number, number];
    const sum = pair(pair(pair(a, b), pair(c, d)), pair(pair(e, f), pair(g, h)));
    expect([root[0], root[5], root.at(-1), parts[0]![0], parts[1]![0]]).toEqual([sum, sum, sum, sum, sum]);
    expect(made).toBe(4);
    const [term] = shardMemory(specifications[0]!.size, 8);
    expect(term).toMatchObject({ bytes: (made - 1) * 4 * specifications[0]!.size });
  });

  it('have slices that begin with a block of a parameter, where there are blocks', () => {
    const specifications = parameterSpecifications(student);
    const starts = specifications.map(({ size }, at) => {
      const start = specifications.slice(0, at).reduce((sum, each) => sum + each.size, 0);
      return { start, end: start + size };
    });
    for (const least of [1, 5000]) {
      const shards = { count: 8, collective: { ...alone, size: 4 }, stretchValues: least };
      const plain = stretchesOf(specifications, shards);
      const whole = stretchesOf(specifications, shards, 256);
      expect(whole.map(({ begin, end }) => [begin, end])).toEqual(plain.map(({ begin, end }) => [begin, end]));
      for (const [at, { begin, end, slices, bounds }] of whole.entries()) {
        expect([...bounds]).toEqual([...slices].filter((_, slice) => slice % 2 === 0));
        expect([slices[0], slices[8]]).toEqual([0, end - begin]);
        slices.forEach((slice, which) => {
          const moved = slice - plain[at]!.slices[which]!;
          expect(moved).toBeGreaterThanOrEqual(0);
          expect(moved).toBeLessThan(256);
          const value = begin + slice;
          const inside = starts.find(({ start, end: stop }) => start < value && value < stop);
          if (inside) expect((value - inside.start) % 256).toBe(0);
        });
      }
      expect(whole).not.toEqual(plain);
    }
  });

  it('have slices that cover all values once', () => {
    for (const length of [0, 1, 7, 8, 9, 1000]) {
      const bounds = [...sliceBounds(length, 8)];
      expect([bounds[0], bounds[8]]).toEqual([0, length]);
      expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
    }
  });
});

function parametersOf(size: number) {
  return windowSpecifications(student, 0, 1).slice(0, size);
}
