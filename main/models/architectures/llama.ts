/** Llama 2 and 3 (and every checkpoint that says `model_type: llama`): GQA, RoPE with optional Llama-3 scaling, SwiGLU. */
import { type Architecture, readDecoder, unsupported } from './architecture.ts';

export const llama: Architecture = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  title: 'Llama',
  readConfiguration(config) {
    if (config.attention_bias) throw unsupported('attention-bias');
    return readDecoder(config, {
      qkvBias: false,
      qkNorm: false,
      headSize: config.head_dim ?? config.hidden_size / config.num_attention_heads,
    });
  },
};
