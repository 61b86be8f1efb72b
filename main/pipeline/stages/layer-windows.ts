/** Some layers of a model at a time: their shape and parameters, what enters the first of them, and the model that they are put together to. */
import type { ModelConfiguration } from '../../models/configuration.ts';
import { embed } from '../../models/embedding.ts';
import { withLayers } from '../../models/kept-layers.ts';
import { loadParameters, openModel } from '../../models/open-model.ts';
import { ParameterBuffer, parameterSpecifications, windowSpecifications } from '../../models/parameters.ts';
import { openSafetensors, writeSafetensors } from '../../formats/safetensors/index.ts';
import type { ModelFolder } from '../../experiment/folder.ts';
import type { HiddenFile } from '../../training/hidden-file.ts';
import type { JobContext } from '../job.ts';
import { saveModel } from './save-model.ts';

/** Consecutive layers of a model. */
export interface Layers {
  readonly first: number;
  readonly count: number;
}

/** Shape of a network that is these layers alone. */
export function windowConfiguration(configuration: ModelConfiguration, { first, count }: Layers): ModelConfiguration {
  return withLayers(
    configuration,
    Array.from({ length: count }, (_, index) => first + index),
  );
}

/** Their parameters, as those of such a network. */
export async function loadWindow(
  path: string,
  configuration: ModelConfiguration,
  { first, count }: Layers,
): Promise<ParameterBuffer> {
  const specifications = parameterSpecifications(configuration).filter(
    ({ layer }) => layer !== null && layer >= first && layer < first + count,
  );
  const { values } = await loadParameters(path, configuration, { specifications });
  return new ParameterBuffer(windowSpecifications(configuration, first, count), values);
}

/** Writes them to a file, by the names that they have in the model. */
export async function writeWindow(path: string, parameters: ParameterBuffer): Promise<void> {
  await writeSafetensors(
    path,
    parameters.specifications.map(({ name, shape }) => ({
      name,
      dtype: 'F32',
      shape,
      data: () => parameters.view(name),
    })),
  );
}

/** Fills `file` with what enters the first layer. @param goOn called with the number of each row before the next is read */
export async function embedRows(
  source: string,
  configuration: ModelConfiguration,
  rows: { readonly lengths: Int32Array; read(row: number): Promise<Int32Array> },
  file: HiddenFile,
  goOn: (row: number) => Promise<void>,
): Promise<void> {
  const specifications = parameterSpecifications(configuration).filter(({ local }) => local === 'embedding');
  const parameters = await loadParameters(source, configuration, { specifications });
  for (const row of rows.lengths.keys()) {
    const ids = await rows.read(row);
    const states = new Float32Array(ids.length * configuration.hiddenSize);
    embed(configuration, parameters, ids, states);
    await file.write(row, states);
    await goOn(row);
  }
}

/**
 * Saves the model whose layers lie in files of `writeWindow`, and that is `source` outside of them.
 * @param fileOf path of the file that a layer is in
 */
export async function saveWindows(
  context: JobContext,
  experiment: string,
  name: ModelFolder,
  source: string,
  configuration: ModelConfiguration,
  fileOf: (layer: number) => string,
): Promise<void> {
  const whole = await openModel(source);
  const specifications = parameterSpecifications(configuration);
  const byName = new Map(specifications.map((each) => [each.name, each]));
  try {
    await saveModel(context, experiment, name, source, configuration, {
      specifications,
      view: async (parameter) => {
        const specification = byName.get(parameter)!;
        const values = new Float32Array(specification.size);
        if (specification.layer === null) {
          await whole.read(specification, values);
          return values;
        }
        const file = await openSafetensors(fileOf(specification.layer));
        try {
          await file.readFloat32(parameter, values);
        } finally {
          await file.close();
        }
        return values;
      },
    });
  } finally {
    await whole.close();
  }
}
