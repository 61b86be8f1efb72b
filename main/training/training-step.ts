/**
 * One optimiser step's losses and gradients over micro-batches: `L = L_CE + lambda L_LD + gamma L_AD` (Eq. 13) and, where asked for, a term of the
 * last hidden states (docs/method.md, 5.5); or plain cross-entropy (Eq. 7) without a teacher. All averages run over the whole step, so the split into micro-batches does not matter.
 */
import { native } from '../../native/index.ts';
import type { DistilSettings } from '../contract/recipe.ts';
import { BufferPool } from '../graph/buffer-pool.ts';
import { type BackendMemory, type EngineOptions, memoryOf } from '../graph/backend.ts';
import type { AttentionStates, Network, TokenBatch } from '../models/network.ts';
import { stateWidths } from '../models/configuration.ts';
import type { HeadOf } from '../models/head.ts';
import { ScoringHead } from '../models/scoring-head.ts';
import { embeddingName, finalNormName, headName, type ParameterBuffer } from '../models/parameters.ts';
import { AttentionRelation, automaticSplitHeads } from './attention-relation.ts';
import { GammaBalance } from './gamma-balance.ts';
import type { GradientLosses, GradientsFinal, GradientStep, StepTotals } from './gradient-step.ts';
import { type HeadRows, LossHead } from './loss-head.ts';
import { relativeError } from './relative-error.ts';
import { tokenFactors, type TokenWeights } from './token-weights.ts';
import { nextOf, topOf, type TopTokens } from './top-tokens.ts';

export interface MicroBatch extends TokenBatch {
  /** Valid tokens of each row; the rest is padding on the right. */
  readonly lengths: readonly number[];
  /** Positions in `[B*T]` whose next token is to be learned, and that token. */
  readonly targetPositions: Int32Array;
  readonly targets: Int32Array;
  /** Number of each row among those that it was drawn from. */
  readonly rows?: readonly number[];
}

/** What a teacher gives of a micro-batch: the trunk's output `[B, T, hidden]`, the states of one layer, the likeliest tokens at each of `[B*T]`. */
export interface Taught {
  readonly hidden: Float32Array | null;
  readonly states: AttentionStates | null;
  readonly top?: TopTokens | null;
}

/** Who teaches: a network, or what one gave of each row before (with parameters only where its head is run). */
export interface Teacher extends HeadOf {
  /** @param capture layer whose queries, keys and values are wanted */
  forward(micro: MicroBatch, capture?: number): Promise<Taught>;
  /** The same, left where the backend computes; absent: the host has it anyway. */
  forwardThere?(micro: MicroBatch, capture?: number): Promise<Taught>;
  release(): Promise<void>;
}

/** What a distilling student learns from. */
export interface Distillation {
  readonly teacher: Teacher;
  readonly lambda: number;
  readonly tau: number;
  readonly tauSquared: boolean;
  readonly logitsTokens: DistilSettings['logitsTokens'];
  /** Absent: all of them count the same. */
  readonly tokenWeights?: TokenWeights | undefined;
  /** The teacher gives so many likeliest tokens and the sum of the others; absent: its whole logits. */
  readonly teacherTop?: number | undefined;
  readonly teacherLayer: number;
  readonly studentLayer: number;
  readonly splitHeads: number | 'auto';
  readonly gamma: number | 'balanced';
  readonly gammaRatio: number;
  /** Weight of the hidden-state term. */
  readonly hidden: number;
}

/** Positions in `[B*T]` that are no padding. */
export function validPositions({ length, lengths }: MicroBatch): Int32Array {
  return Int32Array.from(lengths.flatMap((count, row) => Array.from({ length: count }, (_, at) => row * length + at)));
}

export type StepLosses = GradientLosses & { crossEntropy: number };

export class TrainingStep implements GradientStep<MicroBatch> {
  readonly balance: GammaBalance | null;
  readonly #student: Network;
  readonly #head: LossHead;
  readonly #distillation: Distillation | null;
  readonly #relation: AttentionRelation | null;
  /** The teacher's, where tokens count by what it makes of the next one. */
  readonly #scoring: ScoringHead | null;
  readonly #memory: BackendMemory;
  readonly #pool: BufferPool;

  private constructor(
    student: Network,
    head: LossHead,
    distillation: Distillation | null,
    relation: AttentionRelation | null,
    scoring: ScoringHead | null,
    memory: BackendMemory,
  ) {
    this.#student = student;
    this.#memory = memory;
    this.#pool = new BufferPool(memory);
    this.#head = head;
    this.#distillation = distillation;
    this.#relation = relation;
    this.#scoring = scoring;
    this.balance = distillation?.gamma === 'balanced' ? new GammaBalance(distillation.gammaRatio) : null;
  }

  static async create(
    student: Network,
    distillation: Distillation | null,
    options: EngineOptions,
  ): Promise<TrainingStep> {
    native.keepFreedMemory();
    const usesLogits = distillation !== null && distillation.lambda > 0;
    const head = await LossHead.create(
      student.configuration,
      usesLogits
        ? {
            teacher: distillation.teacher.configuration,
            tau: distillation.tau,
            ...(distillation.teacherTop === undefined
              ? {}
              : { top: topOf(distillation.teacherTop, distillation.teacher.configuration) }),
            reverse: distillation.tokenWeights === 'cakld',
          }
        : null,
      options,
    );
    let relation: AttentionRelation | null = null;
    if (distillation && distillation.gamma !== 0) {
      const widths = [stateWidths(student.configuration), stateWidths(distillation.teacher.configuration)] as const;
      const split = distillation.splitHeads === 'auto' ? automaticSplitHeads(widths) : distillation.splitHeads;
      relation = await AttentionRelation.create(widths[0], widths[1], split, options);
    }
    const scoring =
      usesLogits && distillation.tokenWeights !== undefined && distillation.teacherTop === undefined
        ? await ScoringHead.create(distillation.teacher, options)
        : null;
    return new TrainingStep(student, head, distillation, relation, scoring, memoryOf(options));
  }

  /** Rows for the head: the targets, or every valid position when the logits term covers all tokens. */
  #headRows(micro: MicroBatch, targetCount: number, logitRows: number): HeadRows {
    const distillation = this.#distillation;
    const perTarget = 1 / targetCount;
    const kd =
      distillation && distillation.lambda > 0
        ? (distillation.lambda * (distillation.tauSquared ? distillation.tau ** 2 : 1)) / logitRows
        : null;
    if (kd === null || distillation?.logitsTokens === 'response') {
      const count = micro.targets.length;
      return {
        positions: micro.targetPositions,
        targets: micro.targets,
        weights: new Float32Array(count).fill(perTarget),
        kdWeights: kd === null ? null : new Float32Array(count).fill(kd),
        reverseWeights: null,
      };
    }
    const positions = validPositions(micro);
    const rowOf = new Map([...positions].map((position, row) => [position, row]));
    const targets = new Int32Array(positions.length);
    const weights = new Float32Array(positions.length);
    micro.targetPositions.forEach((position, index) => {
      const at = rowOf.get(position)!;
      targets[at] = micro.targets[index]!;
      weights[at] = perTarget;
    });
    return {
      positions,
      targets,
      weights,
      kdWeights: new Float32Array(positions.length).fill(kd),
      reverseWeights: null,
    };
  }

  /** The same rows, each with the weight in the logits term that the teacher's opinion of the next token gives it. */
  async #weighted(rows: HeadRows, micro: MicroBatch, teacher: Taught | null): Promise<HeadRows> {
    const kind = this.#distillation?.tokenWeights;
    if (!teacher || !rows.kdWeights || kind === undefined) return rows;
    const { positions } = rows;
    const rowOf = positions.map((position) => Math.floor(position / micro.length));
    const logP = teacher.top
      ? Float32Array.from(positions, (position) => teacher.top!.next[position]!)
      : await this.#nextOnes(micro, positions, teacher.hidden!);
    const { forward, reverse } = tokenFactors(kind, { rows: rowOf, logP });
    const unit = rows.kdWeights;
    const times = (factors: Float32Array): Float32Array => factors.map((factor, at) => factor * unit[at]!);
    return { ...rows, kdWeights: times(forward), reverseWeights: reverse && times(reverse) };
  }

  /** The teacher's log-probability of the token that follows each position in its row; NaN where none does. */
  async #nextOnes(micro: MicroBatch, positions: Int32Array, teacher: Float32Array): Promise<Float32Array> {
    const next = positions.map((position) => nextOf(micro, position));
    const followed = [...positions.keys()].filter((at) => next[at]! >= 0);
    const found = await this.#scoring!.logProbabilities(
      teacher,
      Int32Array.from(followed, (at) => positions[at]!),
      Int32Array.from(followed, (at) => next[at]!),
      1,
    );
    const logP = new Float32Array(positions.length).fill(NaN);
    followed.forEach((at, index) => (logP[at] = found[index]!));
    return logP;
  }

  count(microBatches: readonly MicroBatch[]): StepTotals {
    return {
      targets: microBatches.reduce((sum, micro) => sum + micro.targets.length, 0),
      tokens: microBatches.reduce((sum, micro) => sum + micro.lengths.reduce((a, b) => a + b, 0), 0),
    };
  }

  /**
   * Fills `gradients` (overwriting what was there). A step that is abandoned or fails leaves gamma as it was, so that it can be taken again.
   * @param step 1-based number of the optimiser step; decides when a balanced gamma is measured
   * @param betweenMicroBatches may throw to abandon the step
   * @param totals see `GradientStep.run`
   * @param final see `GradientStep.run`
   */
  async run(
    step: number,
    microBatches: readonly MicroBatch[],
    gradients: ParameterBuffer,
    betweenMicroBatches?: () => void,
    totals?: StepTotals,
    final?: GradientsFinal,
  ): Promise<StepLosses> {
    const gamma = this.balance?.gamma;
    try {
      return await this.#run(step, microBatches, gradients, betweenMicroBatches, totals, final);
    } catch (thrown) {
      if (this.balance && gamma !== undefined) this.balance.gamma = gamma;
      throw thrown;
    }
  }

  /**
   * Where gamma is measured, the first micro-batch has three passes backward: of the attention term alone, of the other terms alone (their norms
   * decide gamma), and of the attention term with the new gamma.
   */
  async #run(
    step: number,
    microBatches: readonly MicroBatch[],
    gradients: ParameterBuffer,
    betweenMicroBatches: (() => void) | undefined,
    given: StepTotals | undefined,
    final: GradientsFinal | undefined,
  ): Promise<StepLosses> {
    const student = this.#student;
    const totals = given ?? this.count(microBatches);
    const losses: StepLosses = {
      total: 0,
      crossEntropy: 0,
      distillation: 0,
      relation: 0,
      hidden: 0,
      gamma: this.#gamma(),
      gradientRatio: null,
      tokens: totals.tokens,
    };
    this.#head.forget();
    if (microBatches.length === 0) gradients.values.fill(0);
    else this.#clearAdded(gradients);

    for (const [index, micro] of microBatches.entries()) {
      betweenMicroBatches?.();
      const told = index === microBatches.length - 1 ? final : undefined;
      const passed = await this.#forward(micro, totals);
      const { term } = passed;
      const layer = this.#distillation?.studentLayer ?? 0;
      const measures = given === undefined && term !== null && index === 0 && this.measuresAt(step);
      let relationNorm = 0;
      if (measures) {
        const { gradient } = await term(1);
        await student.backward(null, gradients, false, { layer, gradient });
        await student.collectGradients(gradients);
        relationNorm = Math.sqrt(native.squaredNorm(gradients.values));
        this.#clearAdded(gradients);
      }
      const dHidden = await this.#others(micro, passed, totals, gradients, losses);
      if (measures) {
        await student.backward(dHidden, gradients, false);
        await student.collectGradients(gradients);
        const otherNorm = Math.sqrt(native.squaredNorm(gradients.values));
        losses.gradientRatio = this.balance!.measure(step, otherNorm, relationNorm);
        losses.gamma = this.balance!.gamma;
        const { loss, gradient } = await term(losses.gamma);
        losses.relation += loss;
        await student.backward(null, gradients, true, { layer, gradient }, told);
      } else {
        const attention = (await term?.(losses.gamma)) ?? null;
        losses.relation += attention?.loss ?? 0;
        const enters = attention && { layer, gradient: attention.gradient };
        await student.backward(dHidden, gradients, index > 0, enters, told);
      }
    }
    // All that is left of the step comes to the host at once.
    await this.#memory.read(...this.#head.unread, ...gradients.specifications.map(({ name }) => gradients.view(name)));
    for (const terms of await this.#head.losses()) {
      losses.crossEntropy += terms.crossEntropy;
      losses.distillation += terms.distillation;
    }
    if (!final) await student.finishGradients(gradients);
    losses.total = losses.crossEntropy + losses.distillation + losses.gamma * losses.relation + losses.hidden;
    return losses;
  }

  measuresAt(step: number): boolean {
    return this.#relation !== null && this.balance !== null && this.balance.due(step);
  }

  async gradientOf(
    side: 'relation' | 'others',
    micro: MicroBatch,
    gradients: ParameterBuffer,
    totals: StepTotals,
  ): Promise<void> {
    const student = this.#student;
    this.#clearAdded(gradients);
    this.#head.forget();
    const passed = await this.#forward(micro, totals);
    if (side === 'others')
      await student.backward(await this.#others(micro, passed, totals, gradients, null), gradients, false);
    else {
      const { gradient } = await passed.term!(1);
      await student.backward(null, gradients, false, { layer: this.#distillation!.studentLayer, gradient });
    }
    await student.collectGradients(gradients);
  }

  /** The head, the final norm and the embedding are added to; the layers' gradients are overwritten by the first micro-batch. */
  #clearAdded(gradients: ParameterBuffer): void {
    const { configuration } = this.#student;
    for (const name of new Set([headName(configuration), finalNormName, embeddingName]))
      this.#memory.zero(gradients.view(name));
  }

  /** The passes forward, and the attention term of a weight, where there is one. */
  async #forward(micro: MicroBatch, { tokens }: StepTotals) {
    const distillation = this.#distillation;
    const relation = this.#relation;
    const own = await this.#student.forwardThere(micro, relation ? distillation!.studentLayer : undefined);
    const capture = relation ? distillation!.teacherLayer : undefined;
    const teaching = distillation?.teacher;
    const teacher = (await (teaching?.forwardThere?.(micro, capture) ?? teaching?.forward(micro, capture))) ?? null;
    const term =
      relation && own.states && teacher?.states
        ? (weight: number) => relation.run(own.states!, teacher.states!, micro.lengths, micro.length, tokens, weight)
        : null;
    return { own: own.hidden, teacher, term };
  }

  /** Losses and gradients of all terms but that of attention. @returns the gradient with respect to the trunk's output */
  async #others(
    micro: MicroBatch,
    { own, teacher }: { own: Float32Array; teacher: Taught | null },
    { targets, tokens }: StepTotals,
    gradients: ParameterBuffer,
    losses: StepLosses | null,
  ): Promise<Float32Array> {
    const distillation = this.#distillation;
    const { hiddenSize } = this.#student.configuration;
    const dHidden = this.#pool.take('dHidden', micro.batch * micro.length * hiddenSize);
    this.#memory.keep(dHidden);
    this.#memory.zero(dHidden);
    const logitRows = distillation?.logitsTokens === 'all' ? tokens : targets;
    await this.#head.run(
      this.#student,
      own,
      await this.#weighted(this.#headRows(micro, targets, logitRows), micro, teacher),
      dHidden,
      gradients,
      teacher === null
        ? undefined
        : teacher.top
          ? { top: teacher.top }
          : { network: distillation!.teacher, hidden: teacher.hidden! },
    );
    let hidden = 0;
    if (teacher && distillation!.hidden > 0) {
      await this.#memory.read(own, teacher.hidden!, dHidden);
      const gradient = this.#pool.take('hidden', dHidden.length);
      const wanted = { ...micro, targets: teacher.hidden!.subarray(0, dHidden.length) };
      hidden = relativeError(own, wanted, distillation!.hidden / tokens, gradient);
      native.accumulate(dHidden, gradient);
      this.#memory.changed(dHidden);
    }
    if (losses) losses.hidden += hidden;
    return dHidden;
  }

  #gamma(): number {
    if (this.balance) return this.balance.gamma;
    return typeof this.#distillation?.gamma === 'number' ? this.#distillation.gamma : 0;
  }

  async release(): Promise<void> {
    this.#pool.release();
    await this.#head.release();
    await this.#scoring?.release();
    await this.#relation?.release();
  }
}
