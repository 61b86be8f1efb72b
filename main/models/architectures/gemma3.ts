/**
 * Gemma 3, the language model: sandwich norms with weights of `1 + w`, qk-norm, tanh-GELU, a scaled embedding, and a window with a rotary base of
 * its own on five of six layers.
 */
import { isJsonObject, type JsonObject, ownValue } from '../../basics/bounded-json.ts';
import {
  type Architecture,
  readDecoder,
  readLayerKinds,
  ropeNumber,
  ropeSettings,
  unsupported,
} from './architecture.ts';
import { ggufArchitectures } from './gguf.ts';

export const gemma3Text: Architecture = {
  modelType: 'gemma3_text',
  className: 'Gemma3ForCausalLM',
  title: 'Gemma 3',
  readConfiguration(config) {
    if (config.attention_bias) throw unsupported('attention-bias');
    if (config.attn_logit_softcapping || config.final_logit_softcapping) throw unsupported('logit-cap');
    if (config.use_bidirectional_attention) throw unsupported('two-way-attention');
    const period = config.sliding_window_pattern ?? 6;
    const local = ropeNumber(ropeSettings(config, 'sliding_attention'), 'rope_theta');
    return readDecoder(config, {
      activation: config.hidden_activation ?? config.hidden_act,
      defaultHeadSize: 256,
      norms: 'around',
      qkNorm: 'head',
      embeddingScale: Math.fround(Math.sqrt(config.hidden_size)),
      attentionScale: 1 / Math.sqrt(config.query_pre_attn_scalar ?? 256),
      localRopeTheta: config.rope_local_base_freq ?? (config.rope_parameters ? local : undefined) ?? 10_000,
      layerKinds: readLayerKinds(
        config,
        (layer) => (layer + 1) % period !== 0,
        (_, windowed) => (windowed ? 'local' : 'global'),
      ),
      tiedEmbeddings: config.tie_word_embeddings ?? true,
    });
  },
  checkpoint: {
    norms: {
      attentionNorm: 'input_layernorm',
      attentionPostNorm: 'post_attention_layernorm',
      ffnNorm: 'pre_feedforward_layernorm',
      ffnPostNorm: 'post_feedforward_layernorm',
    },
    normOffset: 1,
    fused: [],
  },
  gguf: () => ggufArchitectures.gemma3,
};

/** What published config.json files of models with images leave to the class of the language model (transformers, `Gemma3TextConfig`). */
const classDefaults = {
  vocab_size: 262_208,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  hidden_activation: 'gelu_pytorch_tanh',
  max_position_embeddings: 131_072,
  rope_theta: 1_000_000,
};

/** From 4B on, Gemma 3 has images: the language model's settings are nested, its configuration is that of `gemma3_text`. */
export const gemma3: Architecture = {
  ...gemma3Text,
  modelType: 'gemma3',
  title: 'Gemma 3 with images, its language model',
  settings(config: JsonObject): JsonObject {
    const text = ownValue(config, 'text_config');
    if (!isJsonObject(text)) return config;
    const shared = Object.entries(config).filter(([key]) => key !== 'text_config' && key !== 'vision_config');
    return { ...classDefaults, ...Object.fromEntries(shared), ...text, model_type: gemma3Text.modelType };
  },
};
