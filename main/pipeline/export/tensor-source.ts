/** The tensors of a model one at a time, so that exporting needs memory for one tensor and not for the model. */
import type { ModelConfiguration } from '../../models/configuration.ts';
import { parameterSpecifications } from '../../models/parameters.ts';
import { readStored } from '../../models/stored-parameters.ts';
import { openModelWeights } from '../../models/stored-weights.ts';

export interface TensorSource {
  /** Row-major values of a parameter (models/parameters.ts names it); not to be written to. @throws TritsmithError */
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * The tensors of a Hugging Face folder. Close it when done.
 * @throws TritsmithError as `openModelWeights`; reading: `bad-input` for a missing tensor or a wrong shape, `damaged` for NaN or infinity
 */
export async function openTensorSource(folder: string, configuration: ModelConfiguration): Promise<TensorSource> {
  const specifications = new Map(parameterSpecifications(configuration).map((entry) => [entry.name, entry]));
  const checkpoint = await openModelWeights(folder);
  return {
    async read(name) {
      const specification = specifications.get(name)!;
      const values = new Float32Array(specification.size);
      await readStored(checkpoint, specification, configuration, folder, values);
      return values;
    },
    close: () => checkpoint.close(),
  };
}
