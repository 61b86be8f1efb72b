/** Mistral (and Ministral): as Llama, with a window on every layer or on those that `layer_types` names. */
import { type Architecture, plainCheckpoint, readDecoder, readLayerKinds } from './architecture.ts';
import { llamaFile } from './llama.ts';

export const mistral: Architecture = {
  modelType: 'mistral',
  className: 'MistralForCausalLM',
  title: 'Mistral',
  readConfiguration: (config) => readDecoder(config, { layerKinds: readLayerKinds(config, () => true) }),
  checkpoint: plainCheckpoint,
  gguf: llamaFile,
};
