/** The tensors of a model one at a time, so that exporting needs memory for one tensor and not for the model. */
import { TritsmithError } from '../../contract/errors.ts';
import { assertFinite, openCheckpoint } from '../../formats/safetensors/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { parameterSpecifications } from '../../models/parameters.ts';
import { storedWeights } from '../../models/stored-weights.ts';

export interface TensorSource {
  /** Row-major values of a parameter (models/parameters.ts names it); not to be written to. @throws TritsmithError */
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * The tensors of a Hugging Face folder. Close it when done.
 * @throws TritsmithError as `openCheckpoint`; reading: `bad-input` for a missing tensor or a wrong shape, `damaged` for NaN or infinity
 */
export async function openTensorSource(folder: string, configuration: ModelConfiguration): Promise<TensorSource> {
  const specifications = new Map(parameterSpecifications(configuration).map((entry) => [entry.name, entry]));
  const checkpoint = await openCheckpoint(folder);
  const { nameOf } = storedWeights(checkpoint);
  return {
    async read(name) {
      const { shape } = specifications.get(name)!;
      const stored = nameOf({ name });
      if (checkpoint.shape(stored).join() !== shape.join())
        throw new TritsmithError('bad-input', 'model.tensor-shape', {
          folder,
          name: stored,
          shape: [...checkpoint.shape(stored)],
          expected: [...shape],
        });
      const values = await checkpoint.readFloat32(stored);
      assertFinite(stored, values);
      return values;
    },
    close: () => checkpoint.close(),
  };
}
