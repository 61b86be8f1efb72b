/** The tensors of a model one at a time, so that exporting needs memory for one tensor and not for the model. */
import type { Quantisation } from '../../contract/quantisation.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { openModel } from '../../models/open-model.ts';
import { learnedScaleName, parameterSpecifications } from '../../models/parameters.ts';
import { quantiseMatrix } from '../../models/ternary-weights.ts';

export interface TensorSource {
  /** Row-major values of a parameter (models/parameters.ts names it); not to be written to. @throws TritsmithError */
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** The tensors of a model, a folder or a GGUF file. Close it when done. @throws TritsmithError as `openModel`; reading: as `ModelSource.read` */
export async function openTensorSource(path: string, configuration: ModelConfiguration): Promise<TensorSource> {
  const specifications = new Map(parameterSpecifications(configuration).map((entry) => [entry.name, entry]));
  const model = await openModel(path);
  return {
    async read(name) {
      const specification = specifications.get(name)!;
      const values = new Float32Array(specification.size);
      await model.read(specification, values);
      return values;
    },
    close: () => model.close(),
  };
}

/**
 * A ternary matrix of a model as the student computes with it (`quantiseMatrix`), its scales too where they are learned.
 * @param name of the matrix; `shape` as it is rounded, `[O, K]`
 */
export async function readTernary(
  source: TensorSource,
  name: string,
  shape: readonly number[],
  quantisation: Quantisation,
): Promise<{ values: Float32Array; scales: Float32Array }> {
  const latent = await source.read(name);
  const learned = quantisation.weights.scale === 'learned' ? await source.read(learnedScaleName(name)) : null;
  return quantiseMatrix(latent, shape, quantisation, learned);
}
