/** What all training jobs share: from a model's folder and a source of batches to the folder of the trained model, with events on the way. */
import { native } from '../../../native/index.ts';
import { upperMedian } from '../../basics/numbers.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { activationsOf, usualEightBitShare } from '../../contract/quantisation.ts';
import { tell, wordsOf } from '../../contract/messages/told.ts';
import type { JobResults } from '../../contract/job-results.ts';
import type { OptimiserSettings } from '../../contract/recipe.ts';
import { exactByteProducts } from '../../graph/exact-byte-products.ts';
import type { TernaryArithmetic } from '../../models/decoder-layer.ts';
import { scaleKind } from '../../models/configuration.ts';
import { Network } from '../../models/network.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { loadParameters } from '../../models/open-model.ts';
import { activationBitsAt, leastTravel, ternaryTravel } from '../../training/schedule.ts';
import type { BatchSource } from '../../training/batches.ts';
import { type Collective, isRoot } from '../../training/collective.ts';
import { train, type TrainerResult, type TrainerSettings } from '../../training/trainer.ts';
import { type Distillation, TrainingStep } from '../../training/training-step.ts';
import { checkpointFolder, type ModelFolder } from '../../experiment/folder.ts';
import type { StepChoice } from '../evaluate/step-choice.ts';
import type { TrainingEvaluation } from '../evaluate/training-evaluation.ts';
import { collectiveOf, type JobContext, JobStopped, shardsOf } from '../job.ts';
import { assertSame } from '../ranks.ts';
import { assertLayer, engineOf } from '../engine.ts';
import { findsCodes } from '../models-of-recipe.ts';
import { tellRanks } from './ranks-told.ts';
import { saveModel } from './save-model.ts';
import { type DecidedTraining, trainingDigest, trainingDigest010 } from './what-decides.ts';

export interface StageTraining extends DecidedTraining {
  readonly batches: BatchSource;
  /** Folder of the experiment. */
  readonly folder: string;
  /** Folder of the model that the stage begins with. */
  readonly source: string;
  /** Layers of it that the stage's model has; absent or null: all. */
  readonly keptLayers?: readonly number[] | null;
  /** What the trained model is called. */
  readonly result: ModelFolder;
  readonly distillation?: Distillation | null;
  readonly optimiser: OptimiserSettings;
  /** See `TrainerSettings.anneal`. */
  readonly anneal?: number | undefined;
  /** See `TrainerSettings.soften`. */
  readonly soften?: number | undefined;
  /** Accuracy on held-out rows while training; released at the end. */
  readonly evaluation?: TrainingEvaluation | null;
  /** Looks at the rows that choose the best step; released at the end. */
  readonly choice?: StepChoice | null;
}

/** @throws TritsmithError `unsupported` where the recipe asks for what this processor computes wrongly */
async function arithmeticOf({ recipe, anneal, soften, configuration }: StageTraining): Promise<TernaryArithmetic> {
  if (anneal || soften) return { products: 'float32' };
  const { ternary, quantisation } = configuration;
  const fixedPoint = ternary && scaleKind(quantisation) === 'tensor' && activationsOf(quantisation).bits === 8;
  if (!recipe.fixedPointGradients || !fixedPoint) return {};
  if (await exactByteProducts()) return { gradients: 'int16' };
  throw new TritsmithError('unsupported', 'processor.no-byte-products');
}

/** Says so where the stage is too short, or its rate too small, for the ternary weights to leave their bins. */
function warnOfFewSteps(network: Network, stage: StageTraining, context: JobContext): void {
  const { job, recipe, optimiser, totalSteps } = stage;
  const ternary = network.parameters.specifications.filter((specification) => specification.ternary);
  const delta = upperMedian(ternary.map(({ name }) => network.ternary(name).delta));
  if (delta === undefined) return;
  const travel = ternaryTravel(totalSteps, optimiser, delta);
  if (travel < leastTravel && findsCodes(recipe, job))
    context.emit({ type: 'log', level: 'warning', text: wordsOf(tell('estimate.codes-stay', { stage: job, travel })) });
}

/** Of a model whose inputs have 4 bits: the share of the steps that come first, with 8. */
function eightBitsOf({ recipe, configuration }: StageTraining): number | undefined {
  if (!configuration.ternary || activationsOf(configuration.quantisation).bits === 8) return undefined;
  return recipe.quantisation?.activations?.eightBitShare ?? usualEightBitShare;
}

/** All ranks read the same rows and the same weights. @throws TritsmithError `unsupported` where they do not */
export async function assertSameStart(
  collective: Collective,
  configuration: string,
  { values }: ParameterBuffer,
): Promise<void> {
  if (collective.size > 1)
    await assertSame(collective, {
      'recipe and rows': configuration,
      'the weights to start with': String(native.squaredNorm(values)),
    });
}

/**
 * Trains the model of `source` and saves it as `result`.
 * @returns the steps that were taken, and which of them was kept
 * @throws JobStopped when the job was told to pause or cancel
 * @throws TritsmithError `unsupported`, see `arithmeticOf`
 */
export async function trainStage(stage: StageTraining, context: JobContext): Promise<JobResults['distil']> {
  const { job, folder, recipe, source, configuration, batches, optimiser, totalSteps } = stage;
  const kept = stage.keptLayers ?? null;
  const parameters = await loadParameters(source, configuration, { kept });
  const engine = await engineOf(recipe, context);
  const { options, computesOn } = engine;
  const arithmetic = await arithmeticOf(stage);
  await assertLayer(configuration, engine, arithmetic);
  const network = await Network.create(configuration, parameters, {
    ...options,
    mode: 'training',
    recomputeActivations: recipe.recomputeActivations,
    roundedProducts: recipe.roundedProducts ?? false,
    arithmetic,
  });
  warnOfFewSteps(network, stage, context);
  const collective = collectiveOf(context);
  const configurationDigest = trainingDigest(stage);
  await assertSameStart(collective, configurationDigest, parameters);
  const trainingStep = await TrainingStep.create(network, stage.distillation ?? null, options);
  const evaluation = stage.evaluation;
  const { choice } = stage;
  const eightBits = eightBitsOf(stage);
  if (eightBits !== undefined) {
    const steps = Array.from({ length: totalSteps }, (_, step) => activationBitsAt(step + 1, totalSteps, eightBits));
    const first = steps.filter((bits) => bits === 8).length;
    const text = `Inputs are rounded to 8 bits for ${first} of ${totalSteps} steps, then to 4. Accuracy is that of 4 bits throughout.`;
    context.emit({ type: 'log', level: 'info', text });
  }
  const settings: TrainerSettings = {
    network,
    trainingStep,
    batches,
    optimiser,
    totalSteps,
    ...(stage.anneal === undefined ? {} : { anneal: stage.anneal }),
    ...(stage.soften === undefined ? {} : { soften: stage.soften }),
    ...(eightBits === undefined ? {} : { eightBits }),
    checkpoint: { folder: checkpointFolder(folder, job), ...recipe.checkpoint },
    ...(computesOn === undefined ? {} : { computesOn }),
    configuration: configurationDigest,
    earlierConfigurations: [trainingDigest010(stage)],
    ...shardsOf(recipe, context),
    ...(choice && recipe.keepBest ? { best: { ...recipe.keepBest, look: () => choice.look(network) } } : {}),
    ...(evaluation
      ? { evaluate: { everySteps: recipe.evaluation.everySteps, run: () => evaluation.run(network) } }
      : {}),
  };
  const ranks = tellRanks(context, folder, job);
  let result: TrainerResult;
  try {
    result = await train(settings, {
      stopRequested: () => context.stopRequested(),
      onStep: ({ step, total, resumedAt, values }) => {
        context.emit({ type: 'metrics', step, values });
        context.emit({ type: 'progress', done: step, total, unit: 'steps', resumed: resumedAt });
      },
      onCheckpoint: (step, path) => context.emit({ type: 'checkpoint', step, path }),
      onWarning: (text) => context.emit({ type: 'log', level: 'warning', text }),
      onShared: (shared) => {
        ranks.hear(shared);
      },
    });
    if (result.outcome !== 'done') throw new JobStopped(result.outcome, result.step);
  } finally {
    ranks.end();
    await evaluation?.release();
    await choice?.release();
    await trainingStep.release();
    await network.release();
  }
  if (isRoot(collective)) await saveModel(context, folder, stage.result, source, configuration, parameters, kept);
  const { step, best, computedOn } = result;
  return {
    steps: step,
    ...(computedOn && { computedOn }),
    ...(best && choice ? { kept: { step: best.step, ...choice.describe(best.score) } } : {}),
  };
}
