/** SmolLM3: as Llama, with every fourth layer without a rotary embedding (NoPE). */
import { TritsmithError } from '../../contract/errors.ts';
import { type Architecture, plainCheckpoint, readDecoder, readLayerKinds, unsupported } from './architecture.ts';
import { ggufArchitectures } from './gguf.ts';

export const smollm3: Architecture = {
  modelType: 'smollm3',
  className: 'SmolLM3ForCausalLM',
  title: 'SmolLM3',
  readConfiguration(config) {
    if (config.attention_bias) throw unsupported('attention-bias');
    const { no_rope_layers: rotates, num_hidden_layers: layers } = config;
    if (rotates && rotates.length < layers)
      throw new TritsmithError('bad-input', 'configuration.layer-types', { types: rotates.length, layers });
    const interval = config.no_rope_layer_interval ?? 4;
    const rotated = (layer: number): boolean => (rotates ? rotates[layer] === 1 : (layer + 1) % interval !== 0);
    return readDecoder(config, {
      tiedEmbeddings: config.tie_word_embeddings ?? true,
      layerKinds: readLayerKinds(
        config,
        () => false,
        (layer) => (rotated(layer) ? 'global' : 'none'),
      ),
    });
  },
  checkpoint: plainCheckpoint,
  gguf: () => ggufArchitectures.smollm3,
};
