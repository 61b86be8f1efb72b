/**
 * The steps of a run in virtual shards (shards.ts), shared with other ranks: each computes the gradients of its shards, the sums are exchanged in slices,
 * and each rank steps its slice with its part of the moments.
 */
import { performance } from 'node:perf_hooks';
import type { MetricValues } from '../contract/metric-names.ts';
import { ParameterBuffer, type ParameterSpecification } from '../models/parameters.ts';
import {
  type CheckpointState,
  readCheckpoint,
  restoreCheckpoint,
  type RestoredCheckpoint,
  saveCheckpoint,
  type StoredTensors,
} from './checkpoint.ts';
import { agree, type Collective, fromRoot, isRoot } from './collective.ts';
import type { GradientLosses, StepTotals } from './gradient-step.ts';
import { AdamW, type TernaryRate } from './optimiser.ts';
import { ownShards, partsBetween, rankBounds, type Shards, sliceBounds, TreeSum } from './shards.ts';
import type { Steps, StepsSettings } from './steps.ts';

/** What a shard adds to the losses of a step, in the order in which it is exchanged. */
const lossNames = ['total', 'crossEntropy', 'distillation', 'relation', 'hidden'] as const;

export class ShardedSteps<Batch> implements Steps {
  readonly #settings: StepsSettings<Batch>;
  readonly #shards: Shards;
  readonly #own: readonly number[];
  readonly #slices: Float64Array;
  readonly #bounds: Float64Array;
  readonly #range: { begin: number; end: number };
  readonly #optimiser: AdamW;
  readonly #tree: TreeSum;
  /** Of the step that is to be taken: the own range of it is the sum over all. */
  #gradients: ParameterBuffer | null = null;
  #waiting = 0;
  #exchanging = 0;
  /** What each rank computed since the run began, and in how much time. */
  readonly #work: { tokens: number; seconds: number }[];

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
    this.#work = Array.from({ length: collective.size }, () => ({ tokens: 0, seconds: 0 }));
  }

  /** Cannot be abandoned: the ranks would have to do it together. */
  async run(step: number): Promise<GradientLosses> {
    const { trainingStep, batches } = this.#settings;
    const { count, collective } = this.#shards;
    const own: Batch[][] = [];
    for (const index of this.#own) own.push(await batches.at(step, { index, count }));
    const share = trainingStep.count(own.flat());
    const totals = await this.#totals(share);
    let computing = 0;
    let gradientRatio: number | null = null;
    if (trainingStep.measuresAt?.(step) === true) gradientRatio = await this.#measureGamma(step, own, totals);
    const found: number[] = [];
    for (const micro of own) {
      const gradients = this.#tree.take();
      const began = performance.now();
      const losses = await trainingStep.run(step, micro, gradients, undefined, totals);
      computing += performance.now() - began;
      found.push(...lossNames.map((name) => losses[name] ?? NaN));
      this.#tree.add(gradients);
    }
    const gradients = this.#tree.end();
    this.#waiting = 0;
    this.#exchanging = 0;
    const all = await this.#timed('waiting', () =>
      collective.gatherNumbers(Float64Array.of(share.tokens, computing / 1000, ...found)),
    );
    await this.#timed('exchanging', () => collective.reduceSlices(gradients.values, this.#bounds));
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
    this.#optimiser.apply(gradients, norm, step, learningRate, ternary);
    this.#tree.recycle(gradients);
    this.#gradients = null;
    const { values } = this.#settings.network.parameters;
    const { begin, end } = this.#range;
    await this.#timed('exchanging', () => collective.gatherSlices(values.subarray(begin, end), values, this.#bounds));
    return norm;
  }

  metrics(): MetricValues {
    const { size } = this.#shards.collective;
    if (size === 1) return {};
    const bytes = Float32Array.BYTES_PER_ELEMENT * this.#settings.network.parameters.values.length;
    return {
      // Each slice of the gradient comes from all the others, and each slice of the parameters goes to them.
      'exchanged-bytes': 2 * bytes * (size - 1),
      'exchange-seconds': this.#exchanging,
      'waiting-seconds': this.#waiting,
    };
  }

  /** Tokens a second of each rank, of the time in which it computed. */
  speeds(): number[] {
    return this.#work.map(({ tokens, seconds }) => tokens / seconds);
  }

  /** The root looks for the checkpoint; the others read what it found. */
  async restore(): Promise<RestoredCheckpoint> {
    const { network, checkpoint, configuration, earlierConfigurations } = this.#settings;
    const { collective } = this.#shards;
    const { specifications } = network.parameters;
    const buffers = {
      parameters: network.parameters,
      firstMoment: ownPart(specifications, this.#optimiser.firstMoment, this.#range.begin),
      secondMoment: ownPart(specifications, this.#optimiser.secondMoment, this.#range.begin),
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
    const moments = [this.#optimiser.firstMoment, this.#optimiser.secondMoment] as const;
    const [firstMoment, secondMoment] = moments.map((own) =>
      gathered(specifications, own, this.#bounds, collective),
    ) as [StoredTensors, StoredTensors];
    if (isRoot(collective)) {
      const buffers = { parameters: network.parameters, firstMoment, secondMoment };
      const path = await saveCheckpoint(checkpoint.folder, step, buffers, state);
      await agree(collective, 1);
      return path;
    }
    // As the root asks for them.
    for (const moment of [firstMoment, secondMoment]) for (const { name } of specifications) await moment.view(name);
    await agree(collective, 1);
    return '';
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
    for (let rank = 0; rank < size; rank += 1) {
      const [ranksTokens, seconds, ...found] = all.subarray(rank * each, (rank + 1) * each) as unknown as number[];
      this.#work[rank]!.tokens += ranksTokens!;
      this.#work[rank]!.seconds += seconds!;
      found.forEach((value, at) => (sums[lossNames[at % lossNames.length]!] += value));
    }
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
