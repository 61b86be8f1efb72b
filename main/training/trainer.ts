/** The training loop, the same for teacher, pre-training, distillation and baseline. */
import { performance } from 'node:perf_hooks';
import type { OptimiserSettings } from '../contract/recipe.ts';
import type { MetricValues } from '../contract/metric-names.ts';
import type { SharedStage } from '../contract/shared-stages.ts';
import type { Network } from '../models/network.ts';
import type { TernaryCounts } from '../models/ternary-weights.ts';
import type { BatchSource } from './batches.ts';
import { type CheckpointState, hasBest, removeOtherBests, restoreBest, saveBest } from './checkpoint.ts';
import { agree, alone, isRoot, meet } from './collective.ts';
import type { GradientStep } from './gradient-step.ts';
import { activationBitsAt, learningRateAt, sharpnessAt, ternaryPeak, ternaryShareAt } from './schedule.ts';
import { ShardedSteps } from './sharded-steps.ts';
import type { Shards } from './shards.ts';
import { WholeSteps } from './steps.ts';
import { TernaryMetrics } from './ternary-metrics.ts';
import type { MicroBatch } from './training-step.ts';

export interface TrainerHooks {
  /** Asked between micro-batches; with shards between steps, and of the root alone. */
  stopRequested(): 'pause' | 'cancel' | null;
  /** Before the first step of this session: steps that a checkpoint holds. */
  onResumed?(steps: number): void;
  onStep(report: StepReport): void;
  onCheckpoint(step: number, path: string): void;
  onWarning(text: string): void;
  /** With several ranks, after each step: how they share a mean step of this session. */
  onShared?(shared: SharedStage): void;
}

export interface StepReport {
  readonly step: number;
  readonly total: number;
  /** First step of this session minus one. */
  readonly resumedAt: number;
  readonly values: MetricValues;
}

export interface TrainerSettings<Batch = MicroBatch> {
  readonly network: Network;
  readonly trainingStep: GradientStep<Batch>;
  readonly batches: BatchSource<Batch>;
  readonly optimiser: OptimiserSettings;
  readonly totalSteps: number;
  /** Share of the steps in which the student's weights go from full precision to ternary; 0: ternary from the first step. */
  readonly anneal?: number;
  /** Share of the steps in which codes are soft and harden; 0: hard from the first step. */
  readonly soften?: number;
  /** Of a model whose inputs have 4 bits: share of the steps that come first, with 8; absent: the model's bits throughout. */
  readonly eightBits?: number;
  readonly checkpoint: { readonly folder: string; readonly steps: number; readonly minutes: number };
  /** Digest of everything that decides the result: a checkpoint with another one is not resumed. */
  readonly configuration: string;
  /** Digests that earlier versions wrote for the same; their checkpoints are resumed too. */
  readonly earlierConfigurations?: readonly string[];
  /** Absent: the processor. */
  readonly computesOn?: string;
  /** The step in virtual shards, shared with other ranks; absent: whole, in this process. */
  readonly shards?: Shards;
  /** Keeps the best step instead of the last. */
  readonly best?: BestStep;
  /** Metrics on held-out rows every so many steps. */
  readonly evaluate?: { readonly everySteps: number; readonly run: () => Promise<MetricValues> };
}

/** How the best step is found. */
export interface BestStep {
  readonly everySteps: number;
  /** Looks in a row without a better step after which training ends; 0: never. */
  readonly patience: number;
  /** Looks at the network with hard codes. `score`: higher is better. */
  look(): Promise<{ readonly score: number; readonly values: MetricValues }>;
}

export interface TrainerResult {
  readonly outcome: 'done' | 'pause' | 'cancel';
  /** The last step that was taken. */
  readonly step: number;
  /** What took the steps, those before a pause too, where it was not the processor alone. */
  readonly computedOn?: string[];
  /** Whose parameters were kept, with `TrainerSettings.best`. */
  readonly best?: { readonly step: number; readonly score: number };
}

/** The machine's processor, as `TrainerResult.computedOn` calls it. */
const processor = 'processor';

/** Thrown inside a step that is abandoned because a stop was asked for. */
class StepAbandoned extends Error {}

/** What a stop request is to the other ranks. */
const requests = [null, 'pause', 'cancel'] as const;

/** Trains until done or stopped. Parameters are updated in place; a pause saves the state at the last finished step. */
export async function train<Batch = MicroBatch>(
  settings: TrainerSettings<Batch>,
  hooks: TrainerHooks,
): Promise<TrainerResult> {
  const { network, trainingStep, optimiser: optimiserSettings, totalSteps, checkpoint, shards } = settings;
  const collective = shards?.collective ?? alone;
  const sharded = shards ? new ShardedSteps(settings, shards) : null;
  const steps = sharded ?? new WholeSteps(settings);
  const peak = network.configuration.ternary ? ternaryPeak(optimiserSettings) : null;
  // The codes that the stage begins with, from the model itself: a resumed run has them too.
  network.markTernary();
  const state: CheckpointState = { gamma: 0, configuration: settings.configuration };
  const { found, passedOver } = await steps.restore();
  for (const text of passedOver) hooks.onWarning(text);
  const resumedAt = found?.step ?? 0;
  hooks.onResumed?.(resumedAt);
  if (found) {
    Object.assign(state, found.state, { configuration: settings.configuration });
    if (trainingStep.balance) trainingStep.balance.gamma = state.gamma;
  }
  const before = found ? (found.state.computedOn ?? [processor]) : [];
  const computedOn = [...new Set([...before, settings.computesOn ?? processor])];
  if (computedOn.some((name) => name !== processor)) state.computedOn = computedOn;
  /** Makes the weights that compute in a step; after the last one they are ternary. */
  let best = state.best;
  if (best && !hasBest(checkpoint.folder, best.step)) {
    hooks.onWarning(
      `The parameters of step ${best.step}, the best so far, are missing; the best of the later ones is kept.`,
    );
    best = undefined;
  }
  const refresh = (step: number): TernaryCounts[] =>
    step > totalSteps
      ? network.refreshTernary()
      : network.refreshTernary(
          ternaryShareAt(step, totalSteps, settings.anneal ?? 0),
          sharpnessAt(step, totalSteps, settings.soften ?? 0),
        );
  refresh(resumedAt + 1);
  const { eightBits } = settings;
  const bitsIn = (step: number): 8 | 4 | null =>
    eightBits === undefined ? null : activationBitsAt(step, totalSteps, eightBits);
  const useBits = async (bits: 8 | 4 | null): Promise<void> => {
    if (bits !== null) await network.useActivationBits(bits);
  };
  /** The model as it will be when it is done: hard codes, and its own bits. */
  const asFinished = async (): Promise<void> => {
    network.refreshTernary();
    await useBits(eightBits === undefined ? null : 4);
  };

  const ternaryMetrics = new TernaryMetrics(network, totalSteps);
  let savedAt = performance.now();
  let savedStep = resumedAt;
  const save = async (step: number): Promise<void> => {
    if (step === savedStep) return;
    state.gamma = trainingStep.balance?.gamma ?? 0;
    // The generation before is kept too, with what was the best then.
    const needed = [state.best?.step, best?.step].filter((each) => each !== undefined);
    if (best) state.best = best;
    const path = await steps.save(step, state);
    if (best && isRoot(collective)) await removeOtherBests(checkpoint.folder, needed);
    savedAt = performance.now();
    savedStep = step;
    hooks.onCheckpoint(step, path);
  };
  const stop = async (finished: number): Promise<TrainerResult | null> => {
    const request = requests[await agree(collective, requests.indexOf(hooks.stopRequested()))] ?? null;
    if (request === 'pause') await save(finished);
    return request ? { outcome: request, step: finished } : null;
  };

  const exhausted = (): boolean =>
    settings.best !== undefined && settings.best.patience > 0 && (best?.looks ?? 0) >= settings.best.patience;
  let last = resumedAt;
  for (let step = resumedAt + 1; step <= totalSteps && !exhausted(); step += 1) {
    // Gives a waiting message (pause, cancel) its turn; the engine's runs block this thread.
    await new Promise((resolve) => setImmediate(resolve));
    const stopped = await stop(step - 1);
    if (stopped) return stopped;
    await useBits(bitsIn(step));
    const started = performance.now();
    let losses;
    try {
      losses = await steps.run(step, () => {
        if (hooks.stopRequested()) throw new StepAbandoned();
      });
    } catch (error) {
      if (!(error instanceof StepAbandoned)) throw error;
      return (await stop(step - 1))!;
    }
    const learningRate = learningRateAt(step, totalSteps, optimiserSettings);
    const ternaryRate = peak === null ? null : learningRateAt(step, totalSteps, optimiserSettings, peak);
    const norm = await steps.update(
      step,
      learningRate,
      ternaryRate === null ? null : { rate: ternaryRate, deltaOf: (name) => network.ternary(name).delta },
    );
    const ternary = ternaryMetrics.after(step, refresh(step + 1));
    const seconds = (performance.now() - started) / 1000;
    hooks.onStep({
      step,
      total: totalSteps,
      resumedAt,
      values: {
        loss: losses.total,
        ...(losses.crossEntropy === null ? {} : { 'loss/ce': losses.crossEntropy }),
        ...(losses.distillation === 0 ? {} : { 'loss/kd': losses.distillation }),
        ...(losses.relation === 0 ? {} : { 'loss/relation': losses.relation, gamma: losses.gamma }),
        ...(losses.hidden === 0 ? {} : { 'loss/hidden': losses.hidden }),
        ...(losses.gradientRatio === null ? {} : { 'gamma/gradient-ratio': losses.gradientRatio }),
        'gradient-norm': norm,
        'learning-rate': learningRate,
        ...(ternaryRate === null ? {} : { 'ternary-rate': ternaryRate }),
        'tokens-per-second': losses.tokens / seconds,
        ...steps.metrics(),
        ...ternary,
      },
    });
    if (sharded && collective.size > 1) hooks.onShared?.(sharded.shared(seconds));
    last = step;
    if (settings.best && (step % settings.best.everySteps === 0 || step === totalSteps)) {
      await asFinished();
      const { score, values } = await settings.best.look();
      if (best === undefined || score > best.score) {
        if (isRoot(collective)) await saveBest(checkpoint.folder, step, network.parameters);
        best = { step, score, looks: 0 };
        // What 4 bits make of it is not known before they train.
      } else best = { ...best, looks: bitsIn(step) === 8 ? 0 : best.looks + 1 };
      refresh(step + 1);
      hooks.onStep({ step, total: totalSteps, resumedAt, values: { ...values, 'kept-step': best.step } });
    }
    const late = performance.now() - savedAt > checkpoint.minutes * 60_000;
    const due = step % checkpoint.steps === 0 || (await agree(collective, Number(late))) === 1;
    if (due && step < totalSteps) await save(step);
    if (settings.evaluate && settings.evaluate.everySteps > 0 && step % settings.evaluate.everySteps === 0) {
      await asFinished();
      const values = await settings.evaluate.run();
      refresh(step + 1);
      hooks.onStep({ step, total: totalSteps, resumedAt, values });
    }
  }
  await save(last);
  await asFinished();
  const done = { outcome: 'done', step: last, ...(state.computedOn && { computedOn }) } as const;
  if (best === undefined) return done;
  await meet(collective);
  await restoreBest(checkpoint.folder, best.step, network.parameters);
  network.refreshTernary();
  return { ...done, best };
}
