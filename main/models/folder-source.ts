/** A Hugging Face folder as a source of a model: config.json and safetensors. */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assertFinite, type Checkpoint, openCheckpoint } from '../formats/safetensors/index.ts';
import { readModelConfiguration } from './architectures/index.ts';
import type { ModelConfiguration } from './configuration.ts';
import { checkedStored, type ModelSource } from './model-source.ts';
import { embeddingName, headName } from './parameters.ts';

const untiedHead = headName({ tiedEmbeddings: false });

/** A model whose checkpoint holds no head of its own is tied, also where its config.json is silent. */
const tiedIn = (checkpoint: Checkpoint): boolean => !checkpoint.has(untiedHead) || checkpoint.aliasOf(untiedHead) !== null;

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
    const model: ModelSource = {
      path: folder,
      configuration,
      weights: { files: checkpoint.files.length, bytes, types, bitsPerWeight: null },
      stored({ name }) {
        // A tied model may store its one matrix under the head's name only.
        const stored = !checkpoint.has(name) && name === embeddingName && tied ? untiedHead : name;
        return checkpoint.has(stored) ? { name: stored, shape: checkpoint.shape(stored) } : null;
      },
      async read(parameter, out) {
        const name = checkedStored(model, parameter);
        const values = await checkpoint.readFloat32(name, out);
        assertFinite(name, values);
        return values;
      },
      close: () => checkpoint.close(),
    };
    return model;
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}
