/** The tensors of a model one at a time, so that exporting needs memory for one tensor and not for the model. */
import type { ModelConfiguration } from '../../models/configuration.ts';
import { openModel } from '../../models/open-model.ts';
import { parameterSpecifications } from '../../models/parameters.ts';

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
