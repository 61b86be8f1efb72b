/**
 * Phi-3 and Phi-4-mini: as Llama, with q, k, v in one matrix, gate and up in another, part of each head rotated, and LongRoPE, of which we take
 * the factors for its original length; contexts end there.
 */
import {
  type Architecture,
  plainCheckpoint,
  readDecoder,
  readLayerKinds,
  ropeSettings,
  ropeNumber,
} from './architecture.ts';
import { ggufArchitectures } from './gguf.ts';
import { llamaFile } from './llama.ts';

export const phi3: Architecture = {
  modelType: 'phi3',
  className: 'Phi3ForCausalLM',
  title: 'Phi-3 / Phi-4-mini',
  readConfiguration(config) {
    const nested = ropeNumber(ropeSettings(config, 'full_attention'), 'partial_rotary_factor');
    return readDecoder(config, {
      rotaryFactor: config.partial_rotary_factor ?? nested ?? 1,
      layerKinds: readLayerKinds(config, () => true),
    });
  },
  checkpoint: {
    ...plainCheckpoint,
    fused: [
      { module: 'self_attn.qkv_proj', projections: ['q', 'k', 'v'] },
      { module: 'mlp.gate_up_proj', projections: ['gate', 'up'] },
    ],
  },
  gguf(configuration) {
    // Llama but for its fused matrices, unless part of a head is rotated or the tables are scaled, which llama.cpp's "llama" can't.
    const plain = configuration.rotaryFactor === 1 && configuration.ropeScaling === null;
    return plain ? llamaFile(configuration) : ggufArchitectures.phi3;
  },
};
