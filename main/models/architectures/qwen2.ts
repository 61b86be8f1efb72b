/** Qwen2 and Qwen2.5: as Llama, with a bias on the query, key and value projections. */
import { type Architecture, plainCheckpoint, readDecoder } from './architecture.ts';
import { ggufArchitectures } from './gguf.ts';
import { llamaFile } from './llama.ts';

export const qwen2: Architecture = {
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  title: 'Qwen2 / Qwen2.5',
  readConfiguration: (config) => readDecoder(config, { qkvBias: true }),
  checkpoint: plainCheckpoint,
  gguf(configuration, separateScales) {
    // llama.cpp's "qwen2" does not apply scales to the feed-forward layers; its "llama" does, and takes the bias.
    const own = configuration.subln === 'none' && configuration.qkvBias && !separateScales;
    return own ? ggufArchitectures.qwen2 : llamaFile(configuration);
  },
};
