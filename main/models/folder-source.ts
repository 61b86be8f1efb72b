/** A Hugging Face folder as a source of a model: config.json and safetensors. */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { TritsmithError } from '../contract/errors.ts';
import type { Told } from '../contract/messages/sentences.ts';
import { tell } from '../contract/messages/told.ts';
import { isJsonObject, ownValue } from '../basics/bounded-json.ts';
import { readModelConfiguration } from './architectures/index.ts';
import { readModelSettings } from './companion-files.ts';
import type { ModelConfiguration } from './configuration.ts';
import { hubName, trunkClass } from './declared-model.ts';
import type { ModelSource } from './model-source.ts';
import { readStored, storedName, storedShape } from './stored-parameters.ts';
import { assertWhole, besideTrunk, type ModelWeights, openModelWeights, surplusIn, tyingOf } from './stored-weights.ts';
import { latentsOfCodes, unpackedWeights } from './ternary-codes.ts';

/** What a folder's configuration and weights say together. */
export interface FolderModel {
  readonly configuration: ModelConfiguration;
  /** What is worth knowing of it, though it can be used. */
  readonly findings: readonly Told[];
}

/**
 * Reads configuration and headers of a folder, and holds one against the other.
 * @param original the model from which this one was made, where something beside config.json names it
 * @throws TritsmithError `unsupported` with the reason where the model can't be trained; as `readModelConfiguration` and `openCheckpoint` do
 */
export async function readModelFolder(folder: string, original: string | null = null): Promise<FolderModel> {
  const { weights, model } = await openWeights(folder, original);
  await weights.close();
  return model;
}

/** The weights of a folder and what `readModelFolder` says of it. Close them when done. @throws TritsmithError as `readModelFolder` */
async function openWeights(
  folder: string,
  original: string | null = null,
): Promise<{ weights: ModelWeights; model: FolderModel; packed: boolean }> {
  const declared = await readModelConfiguration(folder, original);
  const settings = await readModelSettings(folder, 'config.json');
  const opened = await openModelWeights(folder);
  const unpacked = declared.architecture === 'bitnet' ? unpackedWeights(opened, settings) : null;
  const weights = unpacked ?? opened;
  try {
    if (unpacked === null) assertWhole(weights, original ?? hubName(ownValue(settings, '_name_or_path')));
    const { tied, finding } = await tyingOf(weights, declared, settings);
    const configuration = { ...declared, tiedEmbeddings: tied };
    const surplus = surplusIn(weights, configuration);
    if (surplus.length > 0)
      throw new TritsmithError('unsupported', 'model.surplus', { count: surplus.length, names: surplus.slice(0, 5) });
    const unsaid = declared.architecture === 'bitnet' && !isJsonObject(ownValue(settings, 'quantization_config'));
    const beside = besideTrunk(weights);
    const trunk = trunkClass(settings);
    const findings = [
      ...(finding === null ? [] : [finding]),
      ...(unsaid && ownValue(settings, 'tritsmith') === undefined ? [tell('teacher.ternary-unsaid')] : []),
      ...(trunk === null ? [] : [tell('teacher.trunk-alone', { className: trunk })]),
      ...(beside.length === 0 ? [] : [tell('teacher.beside', { count: beside.length, names: beside.slice(0, 3) })]),
      ...(isJsonObject(ownValue(settings, 'auto_map')) && declared.architecture !== 'bitnet'
        ? [tell('teacher.own-code')]
        : []),
    ];
    return { weights, model: { configuration, findings }, packed: unpacked !== null };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** `configuration` of `readModelFolder`. */
export async function folderConfiguration(folder: string): Promise<ModelConfiguration> {
  return (await readModelFolder(folder)).configuration;
}

/**
 * Opens a folder. Close it when done.
 * @throws TritsmithError as `readModelFolder`
 */
export async function openFolder(folder: string): Promise<ModelSource> {
  const { weights: checkpoint, model, packed } = await openWeights(folder);
  const { configuration } = model;
  try {
    let bytes = 0;
    for (const file of checkpoint.files) bytes += (await stat(join(folder, basename(file)))).size;
    const types = [...new Set(checkpoint.names().map((name) => checkpoint.dtype(name)))].sort();
    return {
      path: folder,
      configuration,
      weights: {
        files: checkpoint.files.length,
        bytes,
        types,
        bitsPerWeight: null,
        ...(configuration.ternary ? { ternary: packed ? 'codes' : 'latent' } : {}),
      },
      stored(parameter) {
        const name = storedName(checkpoint, parameter, configuration);
        if (!checkpoint.has(name)) return null;
        return { name, shape: checkpoint.shape(name), expected: storedShape(checkpoint, parameter) };
      },
      async read(parameter, target) {
        await readStored(checkpoint, parameter, configuration, folder, target);
        if (packed && parameter.ternary) latentsOfCodes(target);
      },
      close: () => checkpoint.close(),
    };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}
