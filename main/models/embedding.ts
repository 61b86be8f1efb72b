/** The first layer of a model: rows of the embedding table, and their gradient. */
import { native } from '../../native/index.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { BackendMemory } from '../graph/backend.ts';
import type { ModelConfiguration } from './configuration.ts';
import { embeddingName, type ParameterBuffer } from './parameters.ts';

/** Fills `out` `[ids, hidden]` with the ids' rows, scaled as the family wants them. @throws TritsmithError `bad-input` for an id that the model does not have */
export function embed(
  { vocabSize, hiddenSize, embeddingScale }: ModelConfiguration,
  parameters: ParameterBuffer,
  ids: Int32Array,
  out: Float32Array,
): void {
  try {
    native.gatherRows(parameters.view(embeddingName), ids, hiddenSize, out);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new TritsmithError('bad-input', 'batch.foreign-token', { vocabulary: vocabSize, problem: error.message });
  }
  if (embeddingScale !== 1) for (let index = 0; index < out.length; index += 1) out[index]! *= embeddingScale;
}

/** Adds `gradient` `[ids, hidden]` to the ids' rows of the embedding's gradient. */
export function addEmbeddingGradient(
  { hiddenSize, embeddingScale }: ModelConfiguration,
  gradients: ParameterBuffer,
  ids: Int32Array,
  gradient: Float32Array,
  memory: BackendMemory,
): Promise<void> {
  return memory.addRows(gradients.view(embeddingName), ids, hiddenSize, gradient, embeddingScale);
}
