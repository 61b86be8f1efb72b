/** A pretrained model where it lies, whatever it lies in. Opened by open-model.ts; folder-source.ts and gguf-source.ts are the two kinds. */
import type { ModelConfiguration } from './configuration.ts';
import type { ParameterSpecification } from './parameters.ts';

/** What is known of the weights before one is read. */
export interface WeightFacts {
  readonly files: number;
  readonly bytes: number;
  /** Names of the types, sorted. */
  readonly types: readonly string[];
  /** Of all values, where they are quantised; null where they are floats of 16 or 32 bits. */
  readonly bitsPerWeight: number | null;
  /** Of a model that is ternary as it comes: latent weights, which can be trained further, or their codes alone; absent for others. */
  readonly ternary?: 'latent' | 'codes';
}

/** Shapes are row-major. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** What the configuration asks for. */
  readonly expected: readonly number[];
}

export interface ModelSource {
  /** Folder or file. */
  readonly path: string;
  readonly configuration: ModelConfiguration;
  readonly weights: WeightFacts;
  /** The tensor that holds a parameter; null where there is none. */
  stored(parameter: ParameterSpecification): StoredTensor | null;
  /**
   * Row-major values of a parameter as the engine uses it, into `target`.
   * @throws TritsmithError `bad-input` (another shape), `not-found`, `damaged` (NaN or infinity), `unsupported` (a type that can't be read)
   */
  read(parameter: ParameterSpecification, target: Float32Array): Promise<void>;
  close(): Promise<void>;
}
