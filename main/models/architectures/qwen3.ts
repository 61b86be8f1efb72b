/** Qwen3: RMSNorm on each query and key head (qk-norm), a head size of its own, no bias. */
import { type Architecture, plainCheckpoint, readDecoder, unsupported } from './architecture.ts';
import { ggufArchitectures } from './gguf.ts';

export const qwen3: Architecture = {
  modelType: 'qwen3',
  className: 'Qwen3ForCausalLM',
  title: 'Qwen3',
  readConfiguration(config) {
    if (config.attention_bias) throw unsupported('attention-bias');
    return readDecoder(config, { qkNorm: 'head', defaultHeadSize: 128 });
  },
  checkpoint: plainCheckpoint,
  gguf: () => ggufArchitectures.qwen3,
};
