/** Saves the model that a stage leaves, and reports it. */
import type { ModelConfiguration } from '../../models/configuration.ts';
import { type ParameterSource, saveModelFolder } from '../../models/model-folder.ts';
import { describeArtifact } from '../../experiment/artifact.ts';
import { modelFolder, type ModelFolder } from '../../experiment/folder.ts';
import type { JobContext } from '../job.ts';

/**
 * @param source folder that the tokenizer and the other files of the model come from
 * @param kept layers of `source` that the model has; null: all
 */
export async function saveModel(
  context: JobContext,
  experiment: string,
  name: ModelFolder,
  source: string,
  configuration: ModelConfiguration,
  parameters: ParameterSource,
  kept: readonly number[] | null = null,
): Promise<void> {
  await saveModelFolder(modelFolder(experiment, name), source, configuration, parameters, { kept });
  context.emit({ type: 'artifact', artifact: await describeArtifact(experiment, name, `${name}/model.safetensors`) });
}
