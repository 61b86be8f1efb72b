/** How a training loop takes a step: all of it here, or this rank's share of it (`ShardedSteps`). */
import type { MetricValues } from '../contract/metric-names.ts';
import type { OptimiserSettings } from '../contract/recipe.ts';
import type { Network } from '../models/network.ts';
import { ParameterBuffer, type ParameterSpecification } from '../models/parameters.ts';
import type { BatchSource } from './batches.ts';
import {
  type CheckpointState,
  restoreCheckpoint,
  type RestoredCheckpoint,
  saveCheckpoint,
  type StoredTensors,
  type TrainingBuffers,
} from './checkpoint.ts';
import type { GradientLosses, GradientStep } from './gradient-step.ts';
import { type MomentArray, specificationsIn } from './moments.ts';
import { AdamW, type TernaryRate } from './optimiser.ts';

export interface StepsSettings<Batch> {
  readonly network: Network;
  readonly trainingStep: GradientStep<Batch>;
  readonly batches: BatchSource<Batch>;
  readonly optimiser: OptimiserSettings;
  readonly checkpoint: { readonly folder: string };
  /** See `TrainerSettings`. */
  readonly configuration: string;
  readonly earlierConfigurations?: readonly string[];
}

export interface Steps {
  /** Losses and gradients of a step. @param betweenMicroBatches may throw to abandon it, where it can be abandoned */
  run(step: number, betweenMicroBatches: () => void): Promise<GradientLosses>;
  /** Changes the parameters by the gradients of `run`. @returns their norm, see `AdamW.step` */
  update(step: number, learningRate: number, ternary: TernaryRate | null): Promise<number>;
  /** What the last step exchanged with others. */
  metrics(): MetricValues;
  restore(): Promise<RestoredCheckpoint>;
  /** Returns the file's path. */
  save(step: number, state: CheckpointState): Promise<string>;
}

/** Moments of all values as a checkpoint has them. */
function storedMoments(specifications: readonly ParameterSpecification[], array: MomentArray): StoredTensors {
  const own = new ParameterBuffer(specificationsIn(specifications, array), array.values);
  return { specifications: own.specifications, bytes: array.bytes, view: (name) => own.view(name) };
}

export class WholeSteps<Batch> implements Steps {
  readonly #settings: StepsSettings<Batch>;
  readonly #gradients: ParameterBuffer;
  readonly #optimiser: AdamW;
  readonly #buffers: TrainingBuffers;

  constructor(settings: StepsSettings<Batch>) {
    this.#settings = settings;
    const { parameters } = settings.network;
    const { specifications } = parameters;
    this.#gradients = new ParameterBuffer(specifications);
    this.#optimiser = new AdamW(parameters, settings.optimiser);
    this.#buffers = {
      parameters,
      ...Object.fromEntries(this.#optimiser.moments.map((array) => [array.kind, storedMoments(specifications, array)])),
    };
  }

  async run(step: number, betweenMicroBatches: () => void): Promise<GradientLosses> {
    const { trainingStep, batches } = this.#settings;
    return trainingStep.run(step, await batches.at(step), this.#gradients, betweenMicroBatches);
  }

  update(step: number, learningRate: number, ternary: TernaryRate | null): Promise<number> {
    return Promise.resolve(this.#optimiser.step(this.#gradients, step, learningRate, ternary));
  }

  metrics(): MetricValues {
    return {};
  }

  restore(): Promise<RestoredCheckpoint> {
    const { checkpoint, configuration, earlierConfigurations } = this.#settings;
    return restoreCheckpoint(checkpoint.folder, this.#buffers, configuration, earlierConfigurations);
  }

  save(step: number, state: CheckpointState): Promise<string> {
    return saveCheckpoint(this.#settings.checkpoint.folder, step, this.#buffers, state);
  }
}
