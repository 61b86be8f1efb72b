/** Qwen2 and Qwen2.5: as Llama, with a bias on the query, key and value projections. */
import { type Architecture, readDecoder } from './architecture.ts';

export const qwen2: Architecture = {
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  title: 'Qwen2 / Qwen2.5',
  readConfiguration: (config) =>
    readDecoder(config, {
      qkvBias: true,
      qkNorm: false,
      headSize: config.head_dim ?? config.hidden_size / config.num_attention_heads,
    }),
};
