/** A pretrained model where it lies, whatever it lies in. Opened by open-model.ts; folder-source.ts and gguf-source.ts are the two kinds. */
import { TritsmithError } from '../contract/errors.ts';
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
}

export interface ModelSource {
  /** Folder or file. */
  readonly path: string;
  readonly configuration: ModelConfiguration;
  readonly weights: WeightFacts;
  /** Name and row-major shape under which the weights hold a parameter; null where they lack it. */
  stored(parameter: ParameterSpecification): { readonly name: string; readonly shape: readonly number[] } | null;
  /**
   * Row-major values of a parameter as the engine uses it, into `out` where given.
   * @throws TritsmithError `bad-input` (lacking, another shape), `damaged` (NaN or infinity), `unsupported` (a type that can't be read)
   */
  read(parameter: ParameterSpecification, out?: Float32Array): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Name of a parameter in the weights. @throws TritsmithError `bad-input` where they lack it or hold another shape */
export function checkedStored(model: ModelSource, parameter: ParameterSpecification): string {
  const found = model.stored(parameter);
  const { path: folder, configuration } = model;
  if (found === null)
    throw new TritsmithError('bad-input', 'model.lacks-tensor', {
      folder,
      name: parameter.name,
      architecture: configuration.architecture,
    });
  if (found.shape.join() !== parameter.shape.join())
    throw new TritsmithError('bad-input', 'model.tensor-shape', {
      folder,
      name: found.name,
      shape: [...found.shape],
      expected: [...parameter.shape],
    });
  return found.name;
}
