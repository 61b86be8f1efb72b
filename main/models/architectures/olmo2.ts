/** OLMo 2: norms after attention and feed-forward instead of before them, and of whole queries and keys. */
import { type Architecture, plainCheckpoint, readDecoder, unsupported } from './architecture.ts';
import { ggufArchitectures } from './gguf.ts';

export const olmo2: Architecture = {
  modelType: 'olmo2',
  className: 'Olmo2ForCausalLM',
  title: 'OLMo 2',
  readConfiguration(config) {
    if (config.attention_bias) throw unsupported('attention-bias');
    return readDecoder(config, { norms: 'after', qkNorm: 'projection' });
  },
  checkpoint: {
    ...plainCheckpoint,
    norms: { attentionPostNorm: 'post_attention_layernorm', ffnPostNorm: 'post_feedforward_layernorm' },
  },
  gguf: () => ggufArchitectures.olmo2,
};
