/**
 * The steps of a run in virtual shards (shards.ts), shared with other ranks: each computes the gradients of its shards, the sums are exchanged in slices,
 * and each rank steps its slice with its part of the moments.
 */
import { performance } from 'node:perf_hooks';
import type { MetricValues } from '../contract/metric-names.ts';
import type { SharedStage } from '../contract/shared-stages.ts';
import { ParameterBuffer, type ParameterSpecification } from '../models/parameters.ts';
import {
  type CheckpointState,
  readCheckpoint,
  restoreCheckpoint,
  type RestoredCheckpoint,
  saveCheckpoint,
  type StoredTensors,
} from './checkpoint.ts';
import { agree, type Collective, fromRoot, gatherTexts, isRoot } from './collective.ts';
import { ExchangeRests } from './exchange-rests.ts';
import type { GradientLosses, StepTotals } from './gradient-step.ts';
import { AdamW, type TernaryRate } from './optimiser.ts';
import { ownParts, ownShards, partsBetween, rankBounds, type Shards, sliceBounds, TreeSum } from './shards.ts';
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
  readonly #slices: Float64Array;
  readonly #bounds: Float64Array;
  readonly #range: { begin: number; end: number };
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
    const { collective, count } = shards;
    this.#settings = settings;
    this.#shards = shards;
    this.#own = ownShards(shards);
    this.#slices = sliceBounds(parameters.values.length, count);
    this.#bounds = rankBounds(parameters.values.length, shards);
    this.#range = { begin: this.#bounds[collective.rank]!, end: this.#bounds[collective.rank + 1]! };
    this.#optimiser = new AdamW(parameters, settings.optimiser, this.#range);
    this.#tree = new TreeSum(() => new ParameterBuffer(parameters.specifications));
    this.#rests = shards.rounded === undefined ? null : new ExchangeRests(parameters, ownParts(shards), this.#range);
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
    const rounding = this.#rounding();
    for (const micro of own) {
      const gradients = this.#tree.take();
      const began = performance.now();
      const losses = await trainingStep.run(step, micro, gradients, undefined, totals);
      computing += performance.now() - began;
      found.push(...lossNames.map((name) => losses[name] ?? NaN));
      this.#tree.add(gradients, rounding);
    }
    const gradients = this.#tree.end();
    this.#waiting = 0;
    this.#exchanging = 0;
    const all = await this.#timed('waiting', () =>
      collective.gatherNumbers(Float64Array.of(share.tokens, computing / 1000, this.#sentInAll, ...found)),
    );
    await this.#timed('exchanging', () =>
      collective.reduceSlices(gradients.values, this.#bounds, this.#travelsHalved()),
    );
    this.#gradients = gradients;
    return this.#losses(all, totals, gradientRatio);
  }

  async update(step: number, learningRate: number, ternary: TernaryRate | null): Promise<number> {
    const { collective } = this.#shards;
    const gradients = this.#gradients!;
    const own = this.#own.map((slice) =>
      this.#optimiser.squares(gradients, this.#slices[slice]!, this.#slices[slice + 1]!, ternary),
    );
    const squares = await collective.gatherNumbers(Float64Array.from(own));
    const norm = Math.sqrt(squares.reduce((sum, each) => sum + each, 0));
    const { values } = this.#settings.network.parameters;
    const parameters = values.subarray(this.#range.begin, this.#range.end);
    const apply = (): void => {
      this.#optimiser.apply(gradients, norm, step, learningRate, ternary);
      this.#tree.recycle(gradients);
      this.#gradients = null;
    };
    if (this.#rests === null) {
      apply();
      await this.#timed('exchanging', () => collective.gatherSlices(parameters, values, this.#bounds));
    } else {
      const change = this.#rests.changeOf(parameters, apply);
      await this.#timed('exchanging', () => collective.addSlices(change, values, this.#bounds));
    }
    this.#sentInStep = collective.sent() - this.#sentBefore;
    this.#sentInAll += this.#sentInStep;
    return norm;
  }

  /** Rounds the sum of each of the own parts of a step, in their order, where the exchange is rounded. */
  #rounding(): (sum: ParameterBuffer, level: number) => void {
    const { count, rounded } = this.#shards;
    const rests = this.#rests;
    if (rests === null || rounded === undefined) return () => undefined;
    const left = [...rests.gradients.keys()];
    const levelOfParts = Math.log2(count / rounded);
    return (sum, level) => {
      if (level === levelOfParts) rests.round(left.shift()!, sum);
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
    const part = (own: Float32Array): StoredTensors => ownPart(specifications, own, this.#range.begin);
    const buffers = {
      parameters: network.parameters,
      firstMoment: part(this.#optimiser.firstMoment),
      secondMoment: part(this.#optimiser.secondMoment),
      ...(this.#rests && {
        rests: {
          [changeRest]: part(this.#rests.change),
          ...Object.fromEntries([...this.#rests.gradients].map(([at, rest]) => [gradientRest(at), rest])),
        },
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
    const sliced = (own: Float32Array): StoredTensors => gathered(specifications, own, this.#bounds, collective);
    const [firstMoment, secondMoment] = [
      sliced(this.#optimiser.firstMoment),
      sliced(this.#optimiser.secondMoment),
    ] as const;
    const rests = this.#rests && { [changeRest]: sliced(this.#rests.change), ...this.#gatheredRests(this.#rests) };
    if (isRoot(collective)) {
      const buffers = { parameters: network.parameters, firstMoment, secondMoment, ...(rests && { rests }) };
      const path = await saveCheckpoint(checkpoint.folder, step, buffers, state);
      await agree(collective, 1);
      return path;
    }
    // As the root asks for them.
    for (const tensors of [firstMoment, secondMoment, ...Object.values(rests ?? {})])
      for (const { name } of specifications) await tensors.view(name);
    await agree(collective, 1);
    return '';
  }

  /** What is carried over of the sums of all parts; each has one owner. */
  #gatheredRests({ gradients }: ExchangeRests): Record<string, StoredTensors> {
    const { rounded = 0, collective } = this.#shards;
    const { specifications, values } = this.#settings.network.parameters;
    return Object.fromEntries(
      Array.from({ length: rounded }, (_, part) => {
        const owner = Math.floor((part * collective.size) / rounded);
        const bounds = Float64Array.from({ length: collective.size + 1 }, (__, rank) =>
          rank <= owner ? 0 : values.length,
        );
        const own = gradients.get(part)?.values ?? new Float32Array(0);
        return [gradientRest(part), gathered(specifications, own, bounds, collective)];
      }),
    );
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
      for (const [micro] of own) {
        const gradients = this.#tree.take();
        if (micro === undefined) gradients.values.fill(0);
        else await trainingStep.gradientOf!(side, micro, gradients, totals);
        this.#tree.add(gradients);
      }
      const gradients = this.#tree.end();
      const { collective } = this.#shards;
      await collective.reduceSlices(gradients.values, this.#bounds);
      const squares = await collective.gatherNumbers(
        Float64Array.from(this.#own, (slice) =>
          this.#optimiser.squares(gradients, this.#slices[slice]!, this.#slices[slice + 1]!, null),
        ),
      );
      norms.push(Math.sqrt(squares.reduce((sum, each) => sum + each, 0)));
      this.#tree.recycle(gradients);
    }
    return trainingStep.balance!.measure(step, norms[0]!, norms[1]!);
  }

  /** Adds up what the shards found, in their order. */
  #losses(all: Float64Array, { tokens }: StepTotals, gradientRatio: number | null): GradientLosses {
    const { size } = this.#shards.collective;
    const each = all.length / size;
    const sums = Object.fromEntries(lossNames.map((name) => [name, 0])) as Record<(typeof lossNames)[number], number>;
    const work = Array.from({ length: size }, (_, rank) => {
      const [ranksTokens, computing, sent, ...found] = [...all.subarray(rank * each, (rank + 1) * each)];
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

  async #timed<T>(what: 'waiting' | 'exchanging', work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    const seconds = (performance.now() - began) / 1000;
    if (what === 'waiting') this.#waiting += seconds;
    else this.#exchanging += seconds;
    return result;
  }
}

/** Moments that are kept from the value `begin` on; a tensor is read whole, and what lies there is kept of it. */
function ownPart(specifications: readonly ParameterSpecification[], own: Float32Array, begin: number): StoredTensors {
  const parts = new Map(
    partsBetween(specifications, begin, begin + own.length).map((part) => [part.specification.name, part]),
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
      if (part) own.set(whole.subarray(part.from, part.from + part.count), part.at - begin);
    },
  };
}

/** Moments of all ranks, gathered at the root a tensor at a time. Every rank has to ask for the same tensors in the same order. */
function gathered(
  specifications: readonly ParameterSpecification[],
  own: Float32Array,
  bounds: Float64Array,
  collective: Collective,
): StoredTensors {
  const begin = bounds[collective.rank]!;
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
      const inside = bounds.map((bound) => Math.min(place.size, Math.max(0, bound - place.offset)));
      const [first, end] = [inside[collective.rank]!, inside[collective.rank + 1]!];
      const start = place.offset + first - begin;
      const whole = isRoot(collective) ? new Float32Array(place.size) : null;
      await collective.gatherSlices(
        first === end ? own.subarray(0, 0) : own.subarray(start, start + end - first),
        whole,
        inside,
        0,
      );
      return whole ?? own.subarray(0, 0);
    },
  };
}
