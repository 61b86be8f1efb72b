/** What one architecture's file provides. Adding an architecture means writing one such file and listing it in index.ts. */
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import { quantisationOf, quantisationSettings } from '../../contract/quantisation.ts';
import type { JsonObject } from '../../basics/bounded-json.ts';
import type { LackingFeature } from '../../contract/messages/en/model-files.ts';
import {
  type Activation,
  type LayerKind,
  type ModelConfiguration,
  plainDecoder,
  type Projection,
  type RopeScaling,
} from '../configuration.ts';
import type { GgufArchitecture, GgufKeyReader } from './gguf.ts';

/** How a family's Hugging Face checkpoints name and store parameters (models/parameters.ts). */
export interface CheckpointLayout {
  /** Modules of a layer's norms by local name. */
  readonly norms: Readonly<Record<string, string>>;
  /** What is added to a stored norm weight: 1 where a checkpoint holds w of `1 + w` (Gemma). */
  readonly normOffset: 0 | 1;
  /** Matrices that hold several projections, rows one below the other (Phi's `qkv_proj`). */
  readonly fused: readonly { readonly module: string; readonly projections: readonly Projection[] }[];
  /** Modules of the SubLN norms of a family that is published with them; the others have them under our names. */
  readonly subln?: Partial<Readonly<Record<Projection, string>>>;
}

export interface Architecture {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** `architectures[0]` in config.json, written back when a model is saved. */
  readonly className: string;
  /** Shown to people. */
  readonly title: string;
  /** The language model's own settings, where config.json nests them or leaves some to the class of the family. */
  readonly settings?: (config: JsonObject) => JsonObject;
  /** Reads the settings; throws `unsupported` with the name of the setting that this engine lacks. */
  readConfiguration(config: HuggingFaceConfig): ModelConfiguration;
  readonly checkpoint: CheckpointLayout;
  /**
   * Which GGUF architecture holds a model.
   * @param separateScales the file has `*.scale` tensors beside its ternary matrices
   * @throws TritsmithError `unsupported`, with the way out, when none does
   */
  gguf(configuration: ModelConfiguration, separateScales: boolean): GgufArchitecture;
  /**
   * Which GGUF architecture is read as this family, and the settings that its config.json has beside those that all families share
   * (gguf-settings.ts); null where GGUF files of the family are not read. `others`: further names of the same.
   */
  readonly fromGguf: {
    readonly architecture: string;
    readonly others?: readonly string[];
    settings(keys: GgufKeyReader): JsonObject;
  } | null;
}

/** Llama's checkpoints, and those of most families. */
export const plainCheckpoint: CheckpointLayout = {
  norms: { attentionNorm: 'input_layernorm', ffnNorm: 'post_attention_layernorm' },
  normOffset: 0,
  fused: [],
};

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
  hidden_act: z.string().nullish(),
  max_position_embeddings: count.default(2048),
  tie_word_embeddings: z.boolean().nullish(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  use_sliding_window: z.boolean().nullish(),
  hidden_activation: z.string().nullish(),
  sliding_window: count.nullish(),
  sliding_window_pattern: z.int().min(1).max(1000).nullish(),
  layer_types: z.array(z.string()).max(1000).nullish(),
  no_rope_layers: z.array(z.int()).max(1000).nullish(),
  no_rope_layer_interval: z.int().min(1).max(1000).nullish(),
  rope_local_base_freq: z.number().positive().nullish(),
  partial_rotary_factor: z.number().positive().max(1).nullish(),
  original_max_position_embeddings: count.nullish(),
  query_pre_attn_scalar: z.number().positive().nullish(),
  attn_logit_softcapping: z.number().nullish(),
  final_logit_softcapping: z.number().nullish(),
  use_bidirectional_attention: z.boolean().nullish(),
  embedding_multiplier: z.number().positive().nullish(),
  attention_multiplier: z.number().positive().nullish(),
  residual_multiplier: z.number().positive().nullish(),
  logits_scaling: z.number().positive().nullish(),
  tritsmith: z
    .object({
      ternary: z.boolean(),
      subln: z.enum(['none', 'paper', 'all']),
      qkvBias: z.boolean().optional(),
      quantisation: quantisationSettings.optional(),
    })
    .optional(),
});
export type HuggingFaceConfig = z.infer<typeof huggingFaceConfig>;

/** @param value what the configuration asks for, where there is more than one way to ask */
export function unsupported(feature: LackingFeature, value?: string): TritsmithError {
  return new TritsmithError('unsupported', 'model.uses', { feature, value });
}

const activations: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'gelu-tanh',
  relu2: 'relu-squared',
};

/** There is no default: a wrong activation would be computed in silence. */
export function readActivation(name: string | null | undefined): Activation {
  const known = name !== null && name !== undefined && Object.hasOwn(activations, name) ? activations[name] : undefined;
  if (known === undefined) throw unsupported('activation', name ?? 'not named');
  return known;
}

type Settings = Readonly<Record<string, unknown>>;

const isSettings = (value: unknown): value is Settings => typeof value === 'object' && value !== null;

/** Rotary settings: `rope_parameters` (transformers 5), those of full attention where they differ by kind of layer, or `rope_scaling` (transformers 4). */
export function ropeSettings(config: HuggingFaceConfig, layers: 'full_attention' | 'sliding_attention'): Settings {
  const source: Settings = config.rope_parameters ?? config.rope_scaling ?? {};
  const own = source[layers];
  return isSettings(own) ? own : source;
}

/** A number among rotary settings. */
export function ropeNumber(settings: Settings, key: string): number | undefined {
  const value = settings[key];
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : undefined;
}

/** LongRoPE within the original length of the context: the short factors, and by how much it was stretched (transformers, `_compute_longrope_parameters`). */
function longRope(source: Settings, config: HuggingFaceConfig): RopeScaling {
  const factors = source.short_factor;
  if (!Array.isArray(factors) || !factors.every((factor) => typeof factor === 'number' && factor > 0))
    throw new TritsmithError('bad-input', 'configuration.rope', { kind: 'longrope', key: 'short_factor' });
  const original = config.original_max_position_embeddings ?? ropeNumber(source, 'original_max_position_embeddings');
  if (original === undefined)
    throw new TritsmithError('bad-input', 'configuration.rope', {
      kind: 'longrope',
      key: 'original_max_position_embeddings',
    });
  const stretched = ropeNumber(source, 'factor') ?? config.max_position_embeddings / original;
  const usual = stretched <= 1 ? 1 : Math.sqrt(1 + Math.log(stretched) / Math.log(original));
  return {
    kind: 'factors',
    factors: factors as number[],
    magnitude: ropeNumber(source, 'attention_factor') ?? usual,
    positions: original,
  };
}

function readRope(config: HuggingFaceConfig): { theta: number; scaling: RopeScaling | null } {
  const source = ropeSettings(config, 'full_attention');
  const theta = config.rope_theta ?? ropeNumber(source, 'rope_theta') ?? 10_000;
  const type = source.rope_type ?? source.type ?? 'default';
  if (type === 'default') return { theta, scaling: null };
  const required = (key: string): number => {
    const value = ropeNumber(source, key);
    if (value === undefined) throw new TritsmithError('bad-input', 'configuration.rope', { kind: String(type), key });
    return value;
  };
  if (type === 'linear') return { theta, scaling: { kind: 'linear', factor: required('factor') } };
  if (type === 'longrope') return { theta, scaling: longRope(source, config) };
  if (type !== 'llama3') throw unsupported('rope-scaling', String(type));
  return {
    theta,
    scaling: {
      kind: 'llama3',
      factor: required('factor'),
      lowFrequencyFactor: required('low_freq_factor'),
      highFrequencyFactor: required('high_freq_factor'),
      originalMaxPositions: required('original_max_position_embeddings'),
    },
  };
}

/** Kinds of layers without what repeats: the shortest start of the list that, repeated, gives all of it. */
function shortest(kinds: readonly LayerKind[]): readonly LayerKind[] {
  const same = (a: LayerKind, b: LayerKind): boolean => a.window === b.window && a.rope === b.rope;
  for (let period = 1; period < kinds.length; period += 1)
    if (kinds.every((kind, layer) => same(kind, kinds[layer % period]!))) return kinds.slice(0, period);
  return kinds;
}

/**
 * The kinds of a model's layers.
 * @param windowed whether a layer has the window, where `layer_types` does not say it
 * @param rope of a layer with and without window
 * @throws TritsmithError `unsupported` for a type of layer that is neither full nor sliding attention, `bad-input` for too few of them
 */
export function readLayerKinds(
  config: HuggingFaceConfig,
  windowed: (layer: number) => boolean,
  rope: (layer: number, windowed: boolean) => LayerKind['rope'] = () => 'global',
): readonly LayerKind[] {
  const { layer_types: types, sliding_window: window, num_hidden_layers: layers } = config;
  if (types && types.length < layers)
    throw new TritsmithError('bad-input', 'configuration.layer-types', { types: types.length, layers });
  const strange = types?.find((type) => type !== 'full_attention' && type !== 'sliding_attention');
  if (strange !== undefined) throw unsupported('layer-type', strange);
  return shortest(
    Array.from({ length: layers }, (_, layer): LayerKind => {
      const slides =
        window !== null && window !== undefined && (types ? types[layer] === 'sliding_attention' : windowed(layer));
      const reached = slides && window < config.max_position_embeddings;
      return { window: reached ? window : null, rope: rope(layer, slides) };
    }),
  );
}

/** What `readDecoder` can't read from the settings that all families share. */
export interface Family extends Partial<Omit<ModelConfiguration, 'activation'>> {
  /** Where no `head_dim` is named; default: hidden size / heads. */
  readonly defaultHeadSize?: number;
  /** Name of the activation in config.json; default: `hidden_act`. */
  readonly activation?: string | null | undefined;
}

/** The shared part of every supported family, on which lies what the family says of itself. */
export function readDecoder(config: HuggingFaceConfig, family: Family = {}): ModelConfiguration {
  const { defaultHeadSize, activation: named, ...own } = family;
  const activation = readActivation('activation' in family ? named : config.hidden_act);
  // Only its GGUF architectures say so by their names.
  if (activation === 'relu-squared' && config.model_type !== 'bitnet') throw unsupported('activation', 'relu2');
  if (config.mlp_bias) throw unsupported('feed-forward-bias');
  if (config.use_sliding_window) throw unsupported('sliding-window');
  const kvHeads = config.num_key_value_heads ?? config.num_attention_heads;
  if (config.num_attention_heads % kvHeads !== 0)
    throw new TritsmithError('bad-input', 'configuration.key-value-heads', {
      heads: config.num_attention_heads,
      kvHeads,
    });
  const headSize = config.head_dim ?? defaultHeadSize ?? config.hidden_size / config.num_attention_heads;
  if (!Number.isInteger(headSize) || headSize % 2 !== 0)
    throw new TritsmithError('bad-input', 'configuration.head-size', { headSize });
  const rope = readRope(config);
  const { scaling } = rope;
  const rotated = Math.trunc(headSize * (own.rotaryFactor ?? 1));
  if (rotated === 0 || rotated % 2 !== 0 || (scaling?.kind === 'factors' && scaling.factors.length !== rotated / 2))
    throw new TritsmithError('bad-input', 'configuration.rotary-size', { rotated });
  return {
    ...plainDecoder,
    architecture: config.model_type,
    vocabSize: config.vocab_size,
    hiddenSize: config.hidden_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    kvHeads,
    headSize,
    ffnSize: config.intermediate_size,
    rmsNormEpsilon: config.rms_norm_eps,
    ropeTheta: rope.theta,
    ropeScaling: scaling,
    activation,
    maxPositions:
      scaling?.kind === 'factors'
        ? Math.min(scaling.positions, config.max_position_embeddings)
        : config.max_position_embeddings,
    tiedEmbeddings: config.tie_word_embeddings ?? false,
    ternary: config.tritsmith?.ternary ?? false,
    subln: config.tritsmith?.subln ?? 'none',
    quantisation: quantisationOf(config.tritsmith?.quantisation),
    ...own,
    qkvBias: config.tritsmith?.qkvBias ?? own.qkvBias ?? false,
  };
}
