/** What one architecture's file provides. Adding an architecture means writing one such file and listing it in index.ts. */
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import type { LackingFeature } from '../../contract/messages/en/model-files.ts';
import type { Llama3RopeScaling, ModelConfiguration } from '../configuration.ts';

export interface Architecture {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** `architectures[0]` in config.json, written back when a model is saved. */
  readonly className: string;
  /** Shown to people. */
  readonly title: string;
  /** Reads the settings; throws `unsupported` with the name of the setting that this engine lacks. */
  readConfiguration(config: HuggingFaceConfig): ModelConfiguration;
}

const count = z.int().min(1).max(16_777_216);

/** The part of config.json that the supported families share. Other keys pass through. */
export const huggingFaceConfig = z.looseObject({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: z.int().min(1).max(1000),
  num_attention_heads: count,
  num_key_value_heads: count.nullish(),
  head_dim: count.nullish(),
  rms_norm_eps: z.number().positive().max(1).default(1e-6),
  hidden_act: z.string().default('silu'),
  max_position_embeddings: count.default(2048),
  tie_word_embeddings: z.boolean().nullish(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  use_sliding_window: z.boolean().nullish(),
  tritsmith: z
    .object({ ternary: z.boolean(), subln: z.enum(['none', 'paper', 'all']), qkvBias: z.boolean().optional() })
    .optional(),
});
export type HuggingFaceConfig = z.infer<typeof huggingFaceConfig>;

/** @param value what the configuration asks for, where there is more than one way to ask */
export function unsupported(feature: LackingFeature, value?: string): TritsmithError {
  return new TritsmithError('unsupported', 'model.uses', { feature, value });
}

/** Rotary settings from `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5). */
function readRope(config: HuggingFaceConfig): { theta: number; scaling: Llama3RopeScaling | null } {
  const source = config.rope_parameters ?? config.rope_scaling ?? {};
  const number = (key: string): number | undefined => (typeof source[key] === 'number' ? source[key] : undefined);
  const theta = config.rope_theta ?? number('rope_theta') ?? 10_000;
  const type = source.rope_type ?? source.type ?? 'default';
  if (type === 'default') return { theta, scaling: null };
  if (type !== 'llama3') throw unsupported('rope-scaling', String(type));
  const required = (key: string): number => {
    const value = number(key);
    if (value === undefined || value <= 0) throw new TritsmithError('bad-input', 'configuration.rope', { key });
    return value;
  };
  return {
    theta,
    scaling: {
      factor: required('factor'),
      lowFrequencyFactor: required('low_freq_factor'),
      highFrequencyFactor: required('high_freq_factor'),
      originalMaxPositions: required('original_max_position_embeddings'),
    },
  };
}

/** The shared part of every supported family; the family decides on bias and qk-norm. */
export function readDecoder(
  config: HuggingFaceConfig,
  family: { qkvBias: boolean; qkNorm: boolean; headSize: number },
): ModelConfiguration {
  if (config.hidden_act !== 'silu') throw unsupported('activation', config.hidden_act);
  if (config.mlp_bias) throw unsupported('feed-forward-bias');
  if (config.use_sliding_window) throw unsupported('sliding-window');
  const kvHeads = config.num_key_value_heads ?? config.num_attention_heads;
  if (config.num_attention_heads % kvHeads !== 0)
    throw new TritsmithError('bad-input', 'configuration.key-value-heads', {
      heads: config.num_attention_heads,
      kvHeads,
    });
  if (!Number.isInteger(family.headSize) || family.headSize % 2 !== 0)
    throw new TritsmithError('bad-input', 'configuration.head-size', { headSize: family.headSize });
  const rope = readRope(config);
  return {
    architecture: config.model_type,
    vocabSize: config.vocab_size,
    hiddenSize: config.hidden_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    kvHeads,
    headSize: family.headSize,
    ffnSize: config.intermediate_size,
    rmsNormEpsilon: config.rms_norm_eps,
    ropeTheta: rope.theta,
    ropeScaling: rope.scaling,
    maxPositions: config.max_position_embeddings,
    tiedEmbeddings: config.tie_word_embeddings ?? false,
    qkvBias: config.tritsmith?.qkvBias ?? family.qkvBias,
    qkNorm: family.qkNorm,
    ternary: config.tritsmith?.ternary ?? false,
    subln: config.tritsmith?.subln ?? 'none',
  };
}
