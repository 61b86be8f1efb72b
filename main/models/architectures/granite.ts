/** Granite 3: as Llama, with factors of embedding, attention scores, residual and logits. */
import { type Architecture, plainCheckpoint, readDecoder, unsupported } from './architecture.ts';
import { ggufArchitectures } from './gguf.ts';

export const granite: Architecture = {
  modelType: 'granite',
  className: 'GraniteForCausalLM',
  title: 'Granite',
  readConfiguration(config) {
    if (config.attention_bias) throw unsupported('attention-bias');
    return readDecoder(config, {
      embeddingScale: config.embedding_multiplier ?? 1,
      // The class's own default is 1, not 1 / sqrt(head size).
      attentionScale: config.attention_multiplier ?? 1,
      residualScale: config.residual_multiplier ?? 1,
      logitScale: 1 / (config.logits_scaling ?? 1),
    });
  },
  checkpoint: plainCheckpoint,
  gguf: () => ggufArchitectures.granite,
};
