/** The processes of `npm run bench -- ranks`: one rank of a shared step, or one core that computes the parts of a step. */
import { performance } from 'node:perf_hooks';
import { z } from 'zod';
import { native } from '../../native/index.ts';
import { median } from '../../main/basics/numbers.ts';
import { Random } from '../../main/basics/random.ts';
import { optimiserSettings } from '../../main/contract/recipe.ts';
import type { ModelConfiguration } from '../../main/models/configuration.ts';
import { initialParameters } from '../../main/models/initial-parameters.ts';
import { Network } from '../../main/models/network.ts';
import { ParameterBuffer, parameterSpecifications } from '../../main/models/parameters.ts';
import { joinRanks } from '../../main/pipeline/ranks.ts';
import { publishedModels, qwen3 } from '../../main/pipeline/inspect/estimate-models.ts';
import { exampleBatches, packMicroBatch, type Example } from '../../main/training/batches.ts';
import { alone } from '../../main/training/collective.ts';
import { rowsInMemory } from '../../main/training/fixtures/rows-in-memory.ts';
import type { GradientStep } from '../../main/training/gradient-step.ts';
import { AdamW } from '../../main/training/optimiser.ts';
import { ShardedSteps } from '../../main/training/sharded-steps.ts';
import { stretchesOf } from '../../main/training/shards.ts';
import { type MicroBatch, TrainingStep } from '../../main/training/training-step.ts';
import type { StepCosts } from './model.ts';

const student = { ternary: true, subln: 'paper' } as const;
const qwen = (name: string): ModelConfiguration => ({
  ...publishedModels.find((model) => model.name === name)!.configuration,
  ...student,
});

/** Models that the forecast is for, and the small one of the check. */
export const shapes = {
  small: {
    ...{ ...qwen3, ...student, vocabSize: 2048, hiddenSize: 256, layers: 4, heads: 8, kvHeads: 4, headSize: 32 },
    ffnSize: 768,
  },
  '110 M': {
    ...{ ...qwen3, ...student, vocabSize: 32_000, hiddenSize: 768, layers: 12, heads: 12, kvHeads: 6, headSize: 64 },
    ffnSize: 2048,
  },
  '0.6 B': qwen('Qwen3-0.6B'),
  '4 B': qwen('Qwen3-4B'),
} as const satisfies Record<string, ModelConfiguration>;
export type ShapeName = keyof typeof shapes;

export const rowTokens = 128;
/** Of the check. */
export const checked = { rows: 16, shards: 8, steps: 6 } as const;
/** Of the check of what an overlap spares: the last pass backward is half of all that a rank of two computes. */
export const overlapShards = 2;

const settings = optimiserSettings.parse({ learningRate: 1e-5, batchSize: checked.rows, microBatchTokens: 4096 });

/** Processor seconds of this process so far, all threads. */
function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function exampleRows(vocabulary: number, count: number): Example[] {
  const random = new Random(7);
  return Array.from({ length: count }, () => ({
    ids: Int32Array.from({ length: rowTokens }, () => random.below(vocabulary)),
    responseStart: 1,
  }));
}

async function makeNetwork(configuration: ModelConfiguration): Promise<Network> {
  const random = new Random(1);
  // Uniform numbers of the same deviation: hundreds of millions of normal ones would take longer than the step.
  const spread = (): number => (random.uniform() - 0.5) * Math.sqrt(12);
  return Network.create(configuration, initialParameters(configuration, spread), { threads: 1, mode: 'training' });
}

/** What a rank found in the steps after the first: medians of processor seconds and bytes; the least of what a clock tells, which other work makes longer. */
export const rankReport = z.object({
  /** Processor seconds of a step without its exchange. */
  computing: z.number(),
  /** Of these, forward and backward. */
  gradients: z.number(),
  /** Processor seconds of the exchange, and the seconds it took. */
  exchangeProcessor: z.number(),
  exchange: z.number(),
  waiting: z.number(),
  step: z.number(),
  sent: z.number(),
});
export type RankReport = z.infer<typeof rankReport>;

/** How a rank shares steps. */
const manners = {
  alone: { shared: false, shards: checked.shards, stretchValues: Infinity },
  // The exchange beside the pass backward could not be told from it in processor seconds.
  rank: { shared: true, shards: checked.shards, stretchValues: Infinity },
  separate: { shared: true, shards: overlapShards, stretchValues: Infinity },
  overlapping: { shared: true, shards: overlapShards },
} as const;
export type Manner = keyof typeof manners;

/** The steps of one rank; the root returns what all of them found. */
export async function shareSteps(manner: Manner): Promise<RankReport[] | null> {
  const { shared: isShared, shards, ...stretches } = manners[manner];
  const joined = isShared ? joinRanks() : null;
  const collective = joined?.collective ?? alone;
  native.setThreads(1);
  const network = await makeNetwork(shapes.small);
  const step = await TrainingStep.create(network, null, { threads: 1 });
  let gradients = 0;
  let exchangeProcessor = 0;
  const counted: GradientStep<MicroBatch> = {
    balance: null,
    count: (micro) => step.count(micro),
    run: async (...args) => {
      const before = processorSeconds();
      const losses = await step.run(...args);
      gradients += processorSeconds() - before;
      return losses;
    },
  };
  /** Adds the processor time of an exchange, which runs beside this thread. */
  const timed = async <T>(exchange: () => Promise<T>): Promise<T> => {
    const before = processorSeconds();
    const result = await exchange();
    exchangeProcessor += processorSeconds() - before;
    return result;
  };
  const steps = new ShardedSteps<MicroBatch>(
    {
      network,
      trainingStep: counted,
      batches: exampleBatches(rowsInMemory(exampleRows(shapes.small.vocabSize, 4 * checked.rows)), {
        batchSize: checked.rows,
        microBatchTokens: settings.microBatchTokens,
        seed: 1,
      }),
      optimiser: settings,
      checkpoint: { folder: '' },
      configuration: 'bench',
    },
    {
      count: shards,
      ...stretches,
      collective: {
        ...collective,
        gatherNumbers: (own) => timed(() => collective.gatherNumbers(own)),
        gatherSlices: (...args) => timed(() => collective.gatherSlices(...args)),
        // The sums of what came are part of what a rank computes; they cannot be told from the exchange here.
        reduceSlices: (...args) => timed(() => collective.reduceSlices(...args)),
      },
    },
  );
  const found: RankReport[] = [];
  for (let at = 1; at <= checked.steps; at += 1) {
    [gradients, exchangeProcessor] = [0, 0];
    const [began, processor, sent] = [performance.now(), processorSeconds(), collective.sent()];
    await steps.run(at);
    await steps.update(at, settings.learningRate, null);
    network.refreshTernary();
    const metrics = steps.metrics();
    found.push({
      computing: processorSeconds() - processor - exchangeProcessor,
      gradients,
      exchangeProcessor,
      exchange: metrics['exchange-seconds'] ?? 0,
      waiting: metrics['waiting-seconds'] ?? 0,
      step: (performance.now() - began) / 1000,
      sent: collective.sent() - sent,
    });
  }
  const names = Object.keys(rankReport.shape) as (keyof RankReport)[];
  const onTheClock: readonly (keyof RankReport)[] = ['exchange', 'waiting', 'step'];
  const own = names.map((name) => {
    const values = found.slice(1).map((each) => each[name]);
    return onTheClock.includes(name) ? Math.min(...values) : median(values);
  });
  const all = await collective.gatherNumbers(Float64Array.from(own));
  joined?.mpi.leave();
  if (collective.rank !== 0) return null;
  return Array.from({ length: collective.size }, (_, rank) =>
    rankReport.parse(Object.fromEntries(names.map((name, at) => [name, all[rank * names.length + at]]))),
  );
}

/** See `StepCosts.stretches`. */
export function stretchSizes(configuration: ModelConfiguration): number[] {
  const shards = { count: checked.shards, collective: alone };
  return stretchesOf(parameterSpecifications(configuration), shards).map(({ begin, end }) => end - begin);
}

const measuredTimes = 2;

/**
 * What one core takes for the parts of a step of so many layers of a shape, of one row: the least of some times, because other work makes it longer.
 * @param vocabulary 0: the shape's
 */
export async function measureParts(shape: ShapeName, layers: number, vocabulary: number): Promise<StepCosts> {
  native.setThreads(1);
  const configuration = { ...shapes[shape], layers, ...(vocabulary === 0 ? {} : { vocabSize: vocabulary }) };
  const network = await makeNetwork(configuration);
  const { parameters } = network;
  const step = await TrainingStep.create(network, null, { threads: 1 });
  const gradients = new ParameterBuffer(parameters.specifications);
  const micro = packMicroBatch(exampleRows(configuration.vocabSize, 1));
  const cost = async (work: () => unknown): Promise<number> => {
    // The first meets every buffer at its size.
    await work();
    const found: number[] = [];
    for (let time = 0; time < measuredTimes; time += 1) {
      const before = processorSeconds();
      await work();
      found.push(processorSeconds() - before);
    }
    return Math.min(...found);
  };
  const forwardBackward = await cost(() => step.run(1, [micro], gradients));
  await step.release();
  const other = new ParameterBuffer(parameters.specifications);
  const addition = await cost(() => native.accumulate(other.values, gradients.values));
  // Of a tenth of the values: moments of all of them are not needed to know what they cost.
  const share = 10;
  const end = Math.floor(parameters.values.length / share);
  const optimiser = new AdamW(parameters, settings, [{ begin: 0, end }]);
  const optimiserSeconds = await cost(() => {
    const squares = optimiser.squares(gradients, 0, end, null);
    optimiser.apply(gradients, Math.sqrt(squares), 1, settings.learningRate, null);
  });
  const codes = await cost(() => network.refreshTernary());
  return {
    stretches: stretchSizes(configuration),
    gradients: forwardBackward,
    addition,
    optimiser: share * optimiserSeconds,
    codes,
  };
}

if (import.meta.main) {
  const [role = '', shape = '', layers = '', vocabulary = ''] = process.argv.slice(2);
  const found =
    role === 'parts'
      ? await measureParts(shape as ShapeName, Number(layers), Number(vocabulary))
      : await shareSteps(role as Manner);
  if (found !== null) process.stdout.write(`${JSON.stringify(found)}\n`);
  process.exit(0);
}
