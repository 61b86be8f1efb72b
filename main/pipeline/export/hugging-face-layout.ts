/** Which tensors and settings of a Hugging Face folder with `quant_method: "bitnet"` hold a student (docs/formats.md, 4). */
import { TritsmithError } from '../../contract/errors.ts';
import { assertHoldsQuantisation } from '../../contract/quantisation-in-files.ts';
import type { Quantisation } from '../../contract/quantisation.ts';
import { architectureOf } from '../../models/architectures/index.ts';
import type { Llama3RopeScaling, ModelConfiguration } from '../../models/configuration.ts';
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
  /** What is added to the values at last: -1 where the family's checkpoints hold w of `1 + w`. */
  readonly plus?: number;
}

export interface HuggingFacePlan {
  readonly quantisation: Quantisation;
  readonly tensors: readonly HuggingFaceTensor[];
  /** Settings on top of the base model's config.json. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Local name of the layer's own norm that a projection reads, if it has one. */
const normBefore: Readonly<Record<string, string>> = {
  q: 'attentionNorm',
  k: 'attentionNorm',
  v: 'attentionNorm',
  gate: 'ffnNorm',
  up: 'ffnNorm',
};

/** `bitnet` in transformers is Llama with SubLN before o and down; its norms are as wide as the hidden state. */
function isBitNet({ architecture, subln, heads, headSize, hiddenSize }: ModelConfiguration): boolean {
  return (
    (architecture === 'llama' || architecture === 'bitnet') && subln === 'paper' && heads * headSize === hiddenSize
  );
}

const activationSetting = {
  silu: { hidden_act: 'silu' },
  'relu-squared': { hidden_act: 'relu2' },
  'gelu-tanh': { hidden_activation: 'gelu_pytorch_tanh' },
} as const;

/** Rotary settings under the names of transformers 4 and 5; of models that need more than these the base's own config.json keeps its words. */
function ropeSettings(configuration: ModelConfiguration): Record<string, unknown> {
  const { ropeTheta, ropeScaling, rotaryFactor, layerKinds } = configuration;
  const more = rotaryFactor !== 1 || layerKinds.some(({ rope }) => rope === 'local');
  if (more || (ropeScaling && ropeScaling.kind !== 'llama3')) return {};
  return { rope_theta: ropeTheta, rope_parameters: ropeParameters(ropeTheta, ropeScaling) };
}

function ropeParameters(ropeTheta: number, ropeScaling: Llama3RopeScaling | null): Record<string, unknown> {
  if (!ropeScaling) return { rope_type: 'default', rope_theta: ropeTheta };
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
const usualShrink = 256;

/** c and k of a family; where a checkpoint holds c - 1, c is what float32 makes of it again. */
function shrinking({ rmsNormEpsilon }: ModelConfiguration, offset: number): { constant: number; shrink: number } {
  const constant = Math.sqrt(rmsNormEpsilon / usualShrink);
  if (offset === 0) return { constant, shrink: usualShrink };
  const stored = Math.fround(offset + Math.fround(constant - offset));
  return { constant: stored, shrink: rmsNormEpsilon / stored ** 2 };
}

function linearTensors(
  specification: ParameterSpecification,
  configuration: ModelConfiguration,
  normed: boolean,
  nameOf: (layer: number, local: string) => string,
  shrink: number,
): HuggingFaceTensor[] {
  const { name, shape, local, layer } = specification;
  const packed: HuggingFaceTensor = { name, shape, kind: 'packed', source: name };
  if (!normed) return [packed];
  const module = name.replace(/\.weight$/, '');
  // The weight of the layer's norm moves into the BitLinear after it, because every BitLinear has a norm there (`use_rms_norm`).
  const moved = configuration.subln === 'all' ? undefined : normBefore[local];
  const own = moved === undefined;
  const source = own ? `${module}.subln.weight` : nameOf(layer!, moved);
  const norm = { name: `${module}.rms_norm.weight`, shape: [shape[1]!], kind: 'norm', source } as const;
  return [packed, own ? norm : { ...norm, times: Math.sqrt(shrink + 1) }];
}

/** @throws TritsmithError `unsupported` for a model that is not ternary or whose rows can't be packed by four */
export function planHuggingFace(configuration: ModelConfiguration): HuggingFacePlan {
  if (!configuration.ternary) throw new TritsmithError('unsupported', 'export.only-ternary-folders');
  assertHoldsQuantisation('hf', configuration.quantisation);
  const family = architectureOf(configuration.architecture);
  if (family.checkpoint.fused.length > 0)
    throw new TritsmithError('unsupported', 'export.folder-fused', { family: family.title });
  const bitNet = isBitNet(configuration);
  const { constant, shrink } = shrinking(configuration, family.checkpoint.normOffset);
  const normed = configuration.subln !== 'none' && !bitNet;
  const moves = normed && configuration.subln === 'paper';
  if (moves && configuration.norms === 'after')
    throw new TritsmithError('unsupported', 'export.folder-norms', { family: family.title });
  const specifications = parameterSpecifications(configuration);
  const names = new Map(specifications.map(({ name, local, layer }) => [`${layer} ${local}`, name]));
  const nameOf = (layer: number, local: string): string => names.get(`${layer} ${local}`)!;
  const tensors = specifications.flatMap((specification): HuggingFaceTensor[] => {
    const { name, shape, local, layer, storedOffset, scaleOf } = specification;
    if (scaleOf !== null) return [];
    const plus = storedOffset === 0 ? {} : { plus: -storedOffset };
    if (layer === null)
      return [{ name, shape, kind: local === 'finalNorm' ? 'norm' : 'embedding', source: name, ...plus }];
    if (local.endsWith('.subln')) {
      if (!bitNet) return [];
      const target = local === 'o.subln' ? 'self_attn.attn_sub_norm' : 'mlp.ffn_sub_norm';
      return [{ name: `model.layers.${layer}.${target}.weight`, shape, kind: 'norm', source: name }];
    }
    if (shape.length === 1) {
      const moved = moves && (local === 'attentionNorm' || local === 'ffnNorm');
      if (moved) return [{ name, shape, kind: 'norm', source: null, times: constant, ...plus }];
      // AutoBitLinear multiplies the sum of product and bias by the weight's scale.
      const bias = local.endsWith('.bias') ? { dividedByScaleOf: name.replace(/\.bias$/, '.weight') } : {};
      return [{ name, shape, kind: 'norm', source: name, ...bias, ...plus }];
    }
    if (shape[0]! % 4 !== 0) throw new TritsmithError('unsupported', 'export.folder-rows', { name, rows: shape[0]! });
    return linearTensors(specification, configuration, normed, nameOf, shrink);
  });
  return {
    quantisation: configuration.quantisation,
    tensors,
    settings: {
      ...(bitNet ? { model_type: 'bitnet', architectures: ['BitNetForCausalLM'] } : {}),
      ...activationSetting[configuration.activation],
      head_dim: configuration.headSize,
      tie_word_embeddings: configuration.tiedEmbeddings,
      vocab_size: configuration.vocabSize,
      ...ropeSettings(configuration),
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
