/**
 * The steps of a run in virtual shards (shards.ts), shared with other ranks: each computes the gradients of its shards, the sums are exchanged in slices
 * (the first of them during the last pass backward), and each rank steps its slices with its part of the moments.
 */
import { performance } from 'node:perf_hooks';
import type { MetricValues } from '../contract/metric-names.ts';
import type { SharedStage } from '../contract/shared-stages.ts';
import { ParameterBuffer, type ParameterSpecification } from '../models/parameters.ts';
import {
  type CheckpointState,
  inFileOrder,
  readCheckpoint,
  restoreCheckpoint,
  type RestoredCheckpoint,
  saveCheckpoint,
  type StoredTensors,
  type TrainingBuffers,
} from './checkpoint.ts';
import { agree, type Collective, fromRoot, gatherTexts, isRoot } from './collective.ts';
import { ExchangeRests } from './exchange-rests.ts';
import { GradientExchange } from './gradient-exchange.ts';
import type { GradientLosses, GradientsFinal, StepTotals } from './gradient-step.ts';
import { blockOf, placesIn, specificationsIn } from './moments.ts';
import { AdamW, type TernaryRate } from './optimiser.ts';
import {
  type CompleteSum,
  ownParts,
  ownShards,
  partsBetween,
  type Range,
  rangeIn,
  type Shards,
  type Stretch,
  stretchesOf,
  TreeSum,
} from './shards.ts';
import { RanksWork } from './rank-work.ts';
import type { Steps, StepsSettings } from './steps.ts';

/** What a shard adds to the losses of a step, in the order in which it is exchanged. */
const lossNames = ['total', 'crossEntropy', 'distillation', 'relation', 'hidden'] as const;

/** Names of what a checkpoint keeps of a rounded exchange. */
const changeRest = 'changeRest';
const gradientRest = (part: number): string => `gradientRest${part}`;

export class ShardedSteps<Batch> implements Steps {
  readonly #settings: StepsSettings<Batch>;
  readonly #shards: Shards;
  readonly #own: readonly number[];
  readonly #stretches: readonly Stretch[];
  /** The own part of each stretch. */
  readonly #ranges: readonly Range[];
  readonly #optimiser: AdamW;
  readonly #tree: TreeSum;
  /** Null where the exchange is not rounded. */
  readonly #rests: ExchangeRests | null;
  /** Of the step that is to be taken: the own range of it is the sum over all. */
  #gradients: ParameterBuffer | null = null;
  #waiting = 0;
  #exchanging = 0;
  /** Bytes that were sent when the step began, in the last step, and in all steps of this session. */
  #sentBefore = 0;
  #sentInStep = 0;
  #sentInAll = 0;
  #work: RanksWork;

  constructor(settings: StepsSettings<Batch>, shards: Shards) {
    const { parameters } = settings.network;
    const { collective } = shards;
    this.#settings = settings;
    this.#shards = shards;
    this.#own = ownShards(shards);
    this.#stretches = stretchesOf(parameters.specifications, shards, blockOf(settings.optimiser));
    this.#ranges = this.#stretches.map((stretch) => rangeIn(stretch, collective.rank));
    this.#optimiser = new AdamW(parameters, settings.optimiser, this.#ranges);
    this.#tree = new TreeSum(() => new ParameterBuffer(parameters.specifications));
    this.#rests = shards.rounded === undefined ? null : new ExchangeRests(parameters, ownParts(shards), this.#ranges);
    this.#work = new RanksWork(Array.from({ length: collective.size }, () => ''));
  }

  /** Cannot be abandoned: the ranks would have to do it together. */
  async run(step: number): Promise<GradientLosses> {
    const { trainingStep, batches } = this.#settings;
    const { count, collective } = this.#shards;
    this.#sentBefore = collective.sent();
    const own: Batch[][] = [];
    for (const index of this.#own) own.push(await batches.at(step, { index, count }));
    const share = trainingStep.count(own.flat());
    const totals = await this.#totals(share);
    let computing = 0;
    let gradientRatio: number | null = null;
    if (trainingStep.measuresAt?.(step) === true) gradientRatio = await this.#measureGamma(step, own, totals);
    const found: number[] = [];
    const compute = async (micro: readonly Batch[], gradients: ParameterBuffer, final?: GradientsFinal) => {
      const began = performance.now();
      const losses = await trainingStep.run(step, micro, gradients, undefined, totals, final);
      computing += (performance.now() - began) / 1000;
      found.push(...lossNames.map((name) => losses[name] ?? NaN));
    };
    const rounding = this.#rounding();
    for (const micro of own.slice(0, -1)) {
      const gradients = this.#tree.take();
      await compute(micro, gradients);
      this.#tree.add(gradients, rounding);
    }
    const last = this.#tree.take();
    const exchange = new GradientExchange(
      collective,
      this.#stretches,
      (stretch) => this.#tree.addLast(last, stretch, rounding),
      this.#travelsHalved(),
    );
    // Alone there is nothing to send early, and a graphics card is not asked for gradients layer by layer.
    await compute(own.at(-1)!, last, collective.size === 1 ? undefined : exchange.final);
    const ended = performance.now();
    await exchange.end();
    this.#gradients = this.#tree.end(last);
    const all = await collective.gatherNumbers(Float64Array.of(share.tokens, computing, this.#sentInAll, ...found));
    const idle = (performance.now() - ended) / 1000;
    const slowest = Math.max(...perRank(all, collective.size).map(([, seconds]) => seconds!));
    this.#waiting = Math.min(idle, slowest - computing);
    this.#exchanging = idle - this.#waiting;
    return this.#losses(all, totals, gradientRatio);
  }

  async update(step: number, learningRate: number, ternary: TernaryRate | null): Promise<number> {
    const { collective } = this.#shards;
    const gradients = this.#gradients!;
    const norm = await this.#norm(gradients, ternary);
    const { values } = this.#settings.network.parameters;
    const apply = (): void => {
      this.#optimiser.apply(gradients, norm, step, learningRate, ternary);
      this.#tree.recycle(gradients);
      this.#gradients = null;
    };
    if (this.#rests === null) {
      apply();
      await this.#exchangeParameters((own, all, { bounds }) => collective.gatherSlices(own, all, bounds));
    } else {
      const change = this.#rests.changeOf(values, apply);
      let first = 0;
      await this.#exchangeParameters((own, all, { bounds }) => {
        first += own.length;
        return collective.addSlices(change.subarray(first - own.length, first), all, bounds);
      });
    }
    this.#sentInStep = collective.sent() - this.#sentBefore;
    this.#sentInAll += this.#sentInStep;
    return norm;
  }

  /** The norm of the sum of all gradients, in the sense of `AdamW.step`: squares of every slice of every stretch, in their order, whoever has them. */
  async #norm(gradients: ParameterBuffer, ternary: TernaryRate | null): Promise<number> {
    const own = this.#own.flatMap((slice) =>
      this.#stretches.map(({ begin, slices }) =>
        this.#optimiser.squares(gradients, begin + slices[slice]!, begin + slices[slice + 1]!, ternary),
      ),
    );
    const squares = await this.#shards.collective.gatherNumbers(Float64Array.from(own));
    return Math.sqrt(squares.reduce((sum, each) => sum + each, 0));
  }

  /** @param exchange of one stretch: its own parameters, and all of it */
  async #exchangeParameters(
    exchange: (own: Float32Array, all: Float32Array, stretch: Stretch) => Promise<void>,
  ): Promise<void> {
    const { values } = this.#settings.network.parameters;
    const began = performance.now();
    for (const [at, stretch] of this.#stretches.entries()) {
      const { begin, end } = this.#ranges[at]!;
      await exchange(values.subarray(begin, end), values.subarray(stretch.begin, stretch.end), stretch);
    }
    this.#exchanging += (performance.now() - began) / 1000;
  }

  /** Rounds the sum of each of the own parts of a step, where the exchange is rounded. */
  #rounding(): CompleteSum {
    const { count, rounded } = this.#shards;
    const rests = this.#rests;
    if (rests === null || rounded === undefined) return () => undefined;
    const levelOfParts = Math.log2(count / rounded);
    const left = [...rests.gradients.keys()];
    return (sum, level, begin) => {
      if (level !== levelOfParts) return;
      // The parts come in their order, the last one a stretch at a time.
      const part = left.length > 1 ? left.shift()! : left[0]!;
      rests.round(part, sum, begin);
    };
  }

  /** Whether what a rank sends of its gradient are bfloat16 numbers: those of one part are, a sum of several is not. */
  #travelsHalved(): boolean {
    return this.#shards.rounded === this.#shards.collective.size;
  }

  metrics(): MetricValues {
    if (this.#shards.collective.size === 1) return {};
    return {
      'exchanged-bytes': this.#sentInStep,
      'exchange-seconds': this.#exchanging,
      'waiting-seconds': this.#waiting,
    };
  }

  /**
   * What the ranks did in the mean of all steps of this session.
   * @param seconds that the step before this call took
   */
  shared(seconds: number): SharedStage {
    this.#work.addStep(seconds, this.#exchanging);
    return this.#work.mean(this.#sentInStep);
  }

  /** The root looks for the checkpoint; the others read what it found. */
  async restore(): Promise<RestoredCheckpoint> {
    const { network, checkpoint, configuration, earlierConfigurations } = this.#settings;
    const { collective } = this.#shards;
    this.#work = new RanksWork(await gatherTexts(collective, collective.node));
    const { specifications } = network.parameters;
    const buffers: TrainingBuffers = {
      parameters: network.parameters,
      ...this.#storedMoments(ownPart),
      ...(this.#rests && {
        [changeRest]: ownPart(specifications, this.#rests.change, this.#ranges),
        ...Object.fromEntries([...this.#rests.gradients].map(([at, rest]) => [gradientRest(at), rest])),
      }),
    };
    const restored = await fromRoot(
      collective,
      isRoot(collective)
        ? await restoreCheckpoint(checkpoint.folder, buffers, configuration, earlierConfigurations)
        : { found: null, passedOver: [] },
    );
    if (restored.found && !isRoot(collective)) await readCheckpoint(checkpoint.folder, restored.found.step, buffers);
    return restored;
  }

  async save(step: number, state: CheckpointState): Promise<string> {
    const { network, checkpoint } = this.#settings;
    const { collective } = this.#shards;
    const { specifications } = network.parameters;
    const sliced: TrainingBuffers = {
      ...this.#storedMoments((...own) => gathered(...own, collective)),
      ...(this.#rests && {
        [changeRest]: gathered(specifications, this.#rests.change, this.#ranges, this.#bounds(), collective),
        ...this.#gatheredRests(this.#rests),
      }),
    };
    if (isRoot(collective)) {
      const buffers = { parameters: network.parameters, ...sliced };
      const path = await saveCheckpoint(checkpoint.folder, step, buffers, state);
      await agree(collective, 1);
      return path;
    }
    // As the root's file has them.
    for (const [, tensors] of inFileOrder(sliced)) for (const { name } of specifications) await tensors.view(name);
    await agree(collective, 1);
    return '';
  }

  /** The own moments. @param made of one array of them: parameters, values, and the ranges and bounds of the ranks, as that array has them */
  #storedMoments(
    made: (
      specifications: readonly ParameterSpecification[],
      own: Float32Array,
      ranges: readonly Range[],
      stretches: readonly Float64Array[],
    ) => StoredTensors,
  ): TrainingBuffers {
    const { specifications } = this.#settings.network.parameters;
    return Object.fromEntries(
      this.#optimiser.moments.map((array) => {
        const placeOf = placesIn(specifications, array);
        const ranges = this.#ranges.map(({ begin, end }) => ({ begin: placeOf(begin), end: placeOf(end) }));
        const bounds = this.#bounds().map((each) => each.map(placeOf));
        const stored = made(specificationsIn(specifications, array), array.values, ranges, bounds);
        return [array.kind, { ...stored, bytes: array.bytes }];
      }),
    );
  }

  /** What is carried over of the sums of all parts; each has one owner. */
  #gatheredRests({ gradients }: ExchangeRests): Record<string, StoredTensors> {
    const { rounded = 0, collective } = this.#shards;
    const { specifications, values } = this.#settings.network.parameters;
    return Object.fromEntries(
      Array.from({ length: rounded }, (_, part) => {
        const owner = Math.floor((part * collective.size) / rounded);
        const all = { begin: 0, end: values.length };
        const bounds = Float64Array.from({ length: collective.size + 1 }, (__, rank) => (rank <= owner ? 0 : all.end));
        const own = gradients.get(part)?.values;
        const ranges = own ? [all] : [];
        return [gradientRest(part), gathered(specifications, own ?? new Float32Array(0), ranges, [bounds], collective)];
      }),
    );
  }

  /** Of each stretch, where the ranks' parts begin among all values, and where the last one ends. */
  #bounds(): Float64Array[] {
    return this.#stretches.map(({ begin, bounds }) => bounds.map((bound) => begin + bound));
  }

  async #totals({ targets, tokens }: StepTotals): Promise<StepTotals> {
    const all = await this.#shards.collective.gatherNumbers(Float64Array.of(targets, tokens));
    // Whole numbers: their sum does not depend on the order.
    const sum = (of: number): number => all.reduce((total, each, at) => total + (at % 2 === of ? each : 0), 0);
    return { targets: sum(0), tokens: sum(1) };
  }

  /** Of the first micro-batch of every shard: the norms of the sums of both sides. @returns see `GradientLosses.gradientRatio` */
  async #measureGamma(step: number, own: readonly Batch[][], totals: StepTotals): Promise<number> {
    const { trainingStep } = this.#settings;
    const norms: number[] = [];
    for (const side of ['others', 'relation'] as const) {
      let gradients = this.#tree.take();
      for (const [at, [micro]] of own.entries()) {
        if (at > 0) {
          this.#tree.add(gradients);
          gradients = this.#tree.take();
        }
        if (micro === undefined) gradients.values.fill(0);
        else await trainingStep.gradientOf!(side, micro, gradients, totals);
      }
      this.#tree.addLast(gradients, { begin: 0, end: gradients.values.length });
      gradients = this.#tree.end(gradients);
      for (const { begin, end, bounds } of this.#stretches)
        await this.#shards.collective.reduceSlices(gradients.values.subarray(begin, end), bounds);
      norms.push(await this.#norm(gradients, null));
      this.#tree.recycle(gradients);
    }
    return trainingStep.balance!.measure(step, norms[0]!, norms[1]!);
  }

  /** Adds up what the shards found, in their order. */
  #losses(all: Float64Array, { tokens }: StepTotals, gradientRatio: number | null): GradientLosses {
    const { size } = this.#shards.collective;
    const sums = Object.fromEntries(lossNames.map((name) => [name, 0])) as Record<(typeof lossNames)[number], number>;
    const work = perRank(all, size).map(([ranksTokens, computing, sent, ...found]) => {
      found.forEach((value, at) => (sums[lossNames[at % lossNames.length]!] += value));
      return { tokens: ranksTokens!, computing: computing!, sent: sent! };
    });
    this.#work.addComputing(work);
    return {
      ...sums,
      crossEntropy: Number.isNaN(sums.crossEntropy) ? null : sums.crossEntropy,
      gamma: this.#settings.trainingStep.balance?.gamma ?? 0,
      gradientRatio,
      tokens,
    };
  }
}

/** Numbers of all ranks, by rank. */
function perRank(all: Float64Array, ranks: number): number[][] {
  const each = all.length / ranks;
  return Array.from({ length: ranks }, (_, rank) => [...all.subarray(rank * each, (rank + 1) * each)]);
}

/** Where the values of each range lie in a buffer that has those of all ranges, one after the other. */
function offsetsOf(ranges: readonly Range[]): number[] {
  let next = 0;
  return ranges.map(({ begin, end }) => {
    next += end - begin;
    return next - (end - begin);
  });
}

/** Moments that are kept of some ranges of all values; a tensor is read whole, and what lies there is kept of it. */
function ownPart(
  specifications: readonly ParameterSpecification[],
  own: Float32Array,
  ranges: readonly Range[],
): StoredTensors {
  const offsets = offsetsOf(ranges);
  // A tensor lies in one stretch, and a rank has one range of it.
  const parts = new Map(
    ranges.flatMap(({ begin, end }, range) =>
      partsBetween(specifications, begin, end).map(
        (part) => [part.specification.name, { ...part, to: offsets[range]! + part.at - begin }] as const,
      ),
    ),
  );
  const sizes = new Map(specifications.map(({ name, size }) => [name, size]));
  let whole = new Float32Array(0);
  return {
    specifications,
    view: (name) => {
      const size = sizes.get(name)!;
      if (whole.length < size) whole = new Float32Array(size);
      return whole.subarray(0, size);
    },
    filled: (name) => {
      const part = parts.get(name);
      if (part) own.set(whole.subarray(part.from, part.from + part.count), part.to);
    },
  };
}

/**
 * Moments of all ranks, gathered at the root a tensor at a time. Every rank has to ask for the same tensors in the same order.
 * @param own values of this rank's ranges, one after the other
 * @param stretches each with what lies of it at which rank: `bounds[r]` to `bounds[r + 1]` of all values
 */
function gathered(
  specifications: readonly ParameterSpecification[],
  own: Float32Array,
  ranges: readonly Range[],
  stretches: readonly Float64Array[],
  collective: Collective,
): StoredTensors {
  const offsets = offsetsOf(ranges);
  let offset = 0;
  const places = new Map(
    specifications.map(({ name, size }) => {
      const place = { offset, size };
      offset += size;
      return [name, place];
    }),
  );
  return {
    specifications,
    view: async (name) => {
      const place = places.get(name)!;
      const at = stretches.findIndex((bounds) => place.offset < bounds.at(-1)!);
      const inside = stretches[at]!.map((bound) => Math.min(place.size, Math.max(0, bound - place.offset)));
      const [first, end] = [inside[collective.rank]!, inside[collective.rank + 1]!];
      const start = first === end ? 0 : offsets[at]! + place.offset + first - ranges[at]!.begin;
      const whole = isRoot(collective) ? new Float32Array(place.size) : null;
      await collective.gatherSlices(own.subarray(start, start + end - first), whole, inside, 0);
      return whole ?? own.subarray(0, 0);
    },
  };
}
