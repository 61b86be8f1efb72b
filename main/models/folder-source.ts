/** A Hugging Face folder as a source of a model: config.json and safetensors. */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Checkpoint, openCheckpoint } from '../formats/safetensors/index.ts';
import { readModelConfiguration } from './architectures/index.ts';
import type { ModelConfiguration } from './configuration.ts';
import type { ModelSource } from './model-source.ts';
import { headName } from './parameters.ts';
import { readStored, storedName, storedShape } from './stored-parameters.ts';

const untiedHead = headName({ tiedEmbeddings: false });

/** A model whose checkpoint holds no head of its own is tied, also where its config.json is silent. */
const tiedIn = (checkpoint: Checkpoint): boolean =>
  !checkpoint.has(untiedHead) || checkpoint.aliasOf(untiedHead) !== null;

/** The configuration alone; the weights are looked at only where they decide whether embeddings are tied. @throws TritsmithError as `openFolder` */
export async function folderConfiguration(folder: string): Promise<ModelConfiguration> {
  const configuration = await readModelConfiguration(folder);
  if (configuration.tiedEmbeddings) return configuration;
  const checkpoint = await openCheckpoint(folder);
  try {
    return { ...configuration, tiedEmbeddings: tiedIn(checkpoint) };
  } finally {
    await checkpoint.close();
  }
}

/**
 * Opens a folder. Close it when done.
 * @throws TritsmithError `not-found`, `bad-input`, `damaged`, `unsupported`
 */
export async function openFolder(folder: string): Promise<ModelSource> {
  const stated = await readModelConfiguration(folder);
  const checkpoint = await openCheckpoint(folder);
  const tied = stated.tiedEmbeddings || tiedIn(checkpoint);
  const configuration = { ...stated, tiedEmbeddings: tied };
  try {
    let bytes = 0;
    for (const file of checkpoint.files) bytes += (await stat(join(folder, basename(file)))).size;
    const types = [...new Set(checkpoint.names().map((name) => checkpoint.dtype(name)))].sort();
    return {
      path: folder,
      configuration,
      weights: { files: checkpoint.files.length, bytes, types, bitsPerWeight: null },
      stored(parameter) {
        const name = storedName(checkpoint, parameter, configuration);
        if (!checkpoint.has(name)) return null;
        return { name, shape: checkpoint.shape(name), expected: storedShape(checkpoint, parameter) };
      },
      read: (parameter, target) => readStored(checkpoint, parameter, configuration, folder, target),
      close: () => checkpoint.close(),
    };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}
