/** Which tensors and settings of a Hugging Face folder with `quant_method: "bitnet"` hold a student (docs/formats.md, 4). */
import { TritsmithError } from '../../contract/errors.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { type ParameterSpecification, parameterSpecifications } from '../../models/parameters.ts';

export interface HuggingFaceTensor {
  /** Name in the folder; a packed matrix also has `weight_scale` beside its `weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: 'packed' | 'norm' | 'embedding';
  /** Parameter with the values, or null: ones. */
  readonly source: string | null;
  /** What the values are multiplied by, or the matrix by whose scale they are divided (a bias, see `planHuggingFace`). */
  readonly times?: number;
  readonly dividedByScaleOf?: string;
}

export interface HuggingFacePlan {
  readonly tensors: readonly HuggingFaceTensor[];
  /** Settings on top of the base model's config.json. */
  readonly settings: Readonly<Record<string, unknown>>;
}

const attentionProjections: readonly string[] = ['q', 'k', 'v'];
const ffnProjections: readonly string[] = ['gate', 'up'];

/** `bitnet` in transformers is Llama with SubLN before o and down; its norms are as wide as the hidden state. */
function isBitNet({ architecture, subln, heads, headSize, hiddenSize }: ModelConfiguration): boolean {
  return architecture === 'llama' && subln === 'paper' && heads * headSize === hiddenSize;
}

function ropeParameters({ ropeTheta, ropeScaling }: ModelConfiguration): Record<string, unknown> {
  if (ropeScaling?.kind !== 'llama3') return { rope_type: 'default', rope_theta: ropeTheta };
  return {
    rope_type: 'llama3',
    rope_theta: ropeTheta,
    factor: ropeScaling.factor,
    low_freq_factor: ropeScaling.lowFrequencyFactor,
    high_freq_factor: ropeScaling.highFrequencyFactor,
    original_max_position_embeddings: ropeScaling.originalMaxPositions,
  };
}

/**
 * With `use_rms_norm` every BitLinear has a norm, also where the student has none after the layer's own norm. Two norms in a row are one
 * only up to the epsilon e, which matters where activations are small. So the layer's own norm gets the constant weight c = sqrt(e/k): after
 * it the second norm sees values that are small beside e and nearly only divides by sqrt(e). The two together are
 * `w x / sqrt(m + e k/(k+1))`, m the mean square of x, when the second norm's weight is `w sqrt(k+1)`. With k = 256 the constant stays in the
 * range of F16.
 */
const shrink = 256;

/** Norm of a layer whose weight moves into the BitLinear after it, because every BitLinear has a norm there (`use_rms_norm`). */
function movedNorm(layer: number, projection: string): string | null {
  if (attentionProjections.includes(projection)) return `model.layers.${layer}.input_layernorm.weight`;
  if (ffnProjections.includes(projection)) return `model.layers.${layer}.post_attention_layernorm.weight`;
  return null;
}

function linearTensors(
  specification: ParameterSpecification,
  configuration: ModelConfiguration,
  normed: boolean,
): HuggingFaceTensor[] {
  const { name, shape, local, layer } = specification;
  const packed: HuggingFaceTensor = { name, shape, kind: 'packed', source: name };
  if (!normed) return [packed];
  const module = name.replace(/\.weight$/, '');
  const own = configuration.subln === 'all' || !movedNorm(layer!, local);
  const source = own ? `${module}.subln.weight` : movedNorm(layer!, local);
  const norm = { name: `${module}.rms_norm.weight`, shape: [shape[1]!], kind: 'norm', source } as const;
  return [packed, own ? norm : { ...norm, times: Math.sqrt(shrink + 1) }];
}

/** @throws TritsmithError `unsupported` for a model that is not ternary or whose rows can't be packed by four */
export function planHuggingFace(configuration: ModelConfiguration): HuggingFacePlan {
  if (!configuration.ternary) throw new TritsmithError('unsupported', 'export.only-ternary-folders');
  const bitNet = isBitNet(configuration);
  const { rmsNormEpsilon } = configuration;
  const normed = configuration.subln !== 'none' && !bitNet;
  const moves = normed && configuration.subln === 'paper';
  const tensors = parameterSpecifications(configuration).flatMap((specification): HuggingFaceTensor[] => {
    const { name, shape, local, layer } = specification;
    if (layer === null) return [{ name, shape, kind: local === 'finalNorm' ? 'norm' : 'embedding', source: name }];
    if (local.endsWith('.subln')) {
      if (!bitNet) return [];
      const target = local === 'o.subln' ? 'self_attn.attn_sub_norm' : 'mlp.ffn_sub_norm';
      return [{ name: `model.layers.${layer}.${target}.weight`, shape, kind: 'norm', source: name }];
    }
    if (shape.length === 1) {
      const moved = moves && (local === 'attentionNorm' || local === 'ffnNorm');
      if (moved) return [{ name, shape, kind: 'norm', source: null, times: Math.sqrt(rmsNormEpsilon / shrink) }];
      // AutoBitLinear multiplies the sum of product and bias by the weight's scale.
      const bias = local.endsWith('.bias') ? { dividedByScaleOf: name.replace(/\.bias$/, '.weight') } : {};
      return [{ name, shape, kind: 'norm', source: name, ...bias }];
    }
    if (shape[0]! % 4 !== 0) throw new TritsmithError('unsupported', 'export.folder-rows', { name, rows: shape[0]! });
    return linearTensors(specification, configuration, normed);
  });
  return {
    tensors,
    settings: {
      ...(bitNet ? { model_type: 'bitnet', architectures: ['BitNetForCausalLM'] } : {}),
      hidden_act: 'silu',
      head_dim: configuration.headSize,
      tie_word_embeddings: configuration.tiedEmbeddings,
      vocab_size: configuration.vocabSize,
      rope_theta: configuration.ropeTheta,
      rope_parameters: ropeParameters(configuration),
      ...(configuration.qkvBias || configuration.architecture !== 'qwen2' ? {} : { attention_bias: false }),
      torch_dtype: 'float32',
      dtype: 'float32',
      quantization_config: {
        quant_method: 'bitnet',
        linear_class: 'autobitlinear',
        quantization_mode: 'offline',
        modules_to_not_convert: ['lm_head'],
        use_rms_norm: normed,
        rms_norm_eps: configuration.rmsNormEpsilon,
      },
    },
  };
}

/** Packed rows `[O/4, I]`: `packed[r] = sum over i of (w[i*O/4 + r] + 1) << 2i`. */
export function packRows(values: Float32Array, rows: number, columns: number): Uint8Array {
  const part = (rows / 4) * columns;
  const packed = new Uint8Array(part);
  for (let index = 0; index < part; index += 1)
    packed[index] =
      (values[index]! + 1) |
      ((values[part + index]! + 1) << 2) |
      ((values[2 * part + index]! + 1) << 4) |
      ((values[3 * part + index]! + 1) << 6);
  return packed;
}

/** The inverse of `packRows`. */
export function unpackRows(packed: Uint8Array): Int8Array {
  const part = packed.length;
  const values = new Int8Array(part * 4);
  for (let quarter = 0; quarter < 4; quarter += 1)
    for (let index = 0; index < part; index += 1)
      values[quarter * part + index] = ((packed[index]! >>> (2 * quarter)) & 3) - 1;
  return values;
}
