/**
 * Which GGUF tensors and keys hold a model (docs/formats.md, 1 and 3). One place decides; the
 * writer and the read-back both follow it.
 */
import { tell, type Told } from '../../contract/messages/told.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { ModelConfiguration, Projection } from '../../models/configuration.ts';
import { inverseFrequencies } from '../../models/rotary-tables.ts';
import {
  embeddingName,
  finalNormName,
  type ParameterSpecification,
  parameterSpecifications,
} from '../../models/parameters.ts';

/** One tensor of the file and the parameter that it holds. */
export interface GgufTensorPlan {
  readonly name: string;
  /** Row-major, outermost first, as the parameter. */
  readonly shape: readonly number[];
  /** Parameter with the values, or the values themselves. */
  readonly source: string | Float32Array;
  readonly kind: 'embedding' | 'norm' | 'linear';
  /** Rows are regrouped from half-split to interleaved rotary order, head by head (the `llama` architecture). */
  readonly permuteHeads: number | null;
  /** Where `shape` is wider than the parameter (padded-plan.ts): the parameter's shape, and what its values (a ternary matrix: its scale) are multiplied by. */
  readonly padded?: { readonly from: readonly number[]; readonly factor: number };
}

export interface GgufPlan {
  readonly architecture: 'llama' | 'bitnet' | 'qwen2' | 'qwen3';
  readonly tensors: readonly GgufTensorPlan[];
  /** Keys of the model's shape, without tokenizer and file type. Numbers are written as uint32 unless named in `floats`. */
  readonly integers: Readonly<Record<string, number>>;
  readonly floats: Readonly<Record<string, number>>;
  /** Restrictions that a user should know. */
  readonly notes: readonly Told[];
}

const moduleNames: Record<Projection, string> = {
  q: 'attn_q',
  k: 'attn_k',
  v: 'attn_v',
  o: 'attn_output',
  gate: 'ffn_gate',
  up: 'ffn_up',
  down: 'ffn_down',
};

export interface PlanOptions {
  /** The file has `*.scale` tensors, which llama.cpp's "qwen2" does not apply to the feed-forward layers; its "llama" does, and takes the bias. */
  readonly separateScales?: boolean;
  /** The file is for our runtime alone, which takes `*_norm_in` in every architecture (docs/formats.md, 3.4): any model fits. */
  readonly own?: boolean;
}

function architectureFor(
  configuration: ModelConfiguration,
  { separateScales, own }: PlanOptions,
): GgufPlan['architecture'] {
  const { architecture, subln, qkvBias } = configuration;
  if (architecture === 'qwen3') return 'qwen3';
  if (own) return architecture === 'qwen2' ? 'qwen2' : 'llama';
  if (subln === 'none') return architecture === 'qwen2' && qkvBias && !separateScales ? 'qwen2' : 'llama';
  if (qkvBias) throw new TritsmithError('unsupported', 'export.bias-beside-subln');
  if (subln === 'paper') return 'bitnet';
  throw new TritsmithError('unsupported', 'export.subln-everywhere');
}

/** Tensors that hold the SubLN of one layer, by architecture. */
function sublnTensor(plan: GgufPlan['architecture'], local: string): string {
  const projection = local.slice(0, -'.subln'.length) as Projection;
  if (plan === 'bitnet') return projection === 'o' ? 'attn_sub_norm' : 'ffn_sub_norm';
  return `${moduleNames[projection]}_norm_in`;
}

/** By how much Llama-3 scaling slows each rotary frequency down, `[D/2]`; null without scaling. */
function ropeFrequencyFactors(configuration: ModelConfiguration): Float32Array | null {
  if (!configuration.ropeScaling) return null;
  const plain = inverseFrequencies({ ...configuration, ropeScaling: null });
  return Float32Array.from(inverseFrequencies(configuration), (scaled, index) => plain[index]! / scaled);
}

/** @throws TritsmithError `unsupported`, with the way out, when no architecture holds the model */
export function planGguf(configuration: ModelConfiguration, options: PlanOptions = {}): GgufPlan {
  const architecture = architectureFor(configuration, options);
  const { heads, kvHeads, headSize, hiddenSize, subln, tiedEmbeddings } = configuration;
  const notes: Told[] = [];
  if (architecture === 'bitnet' && heads * headSize !== hiddenSize)
    throw new TritsmithError('unsupported', 'export.bitnet-shape', { heads, headSize, hiddenSize });
  if (architecture === 'bitnet' && !tiedEmbeddings) notes.push(tell('note.bitnet-head'));
  if (architecture === 'bitnet' && configuration.ropeScaling) notes.push(tell('note.bitnet-rope'));
  if (architecture === 'qwen3' && subln !== 'none') notes.push(tell('note.qwen3-subln'));
  // Qwen3 with SubLN before o and down alone: bitnet.cpp applies ffn_down_norm_in only beside ffn_gate_norm_in, so the FFN norm moves there.
  const moveFfnNorm = architecture === 'qwen3' && subln === 'paper';
  const rotatedHeads = (local: string): number | null => {
    if (architecture !== 'llama') return null;
    return local === 'q' ? heads : local === 'k' ? kvHeads : null;
  };

  const tensors: GgufTensorPlan[] = [];
  const push = (name: string, specification: ParameterSpecification, kind: GgufTensorPlan['kind'], more = {}): void => {
    tensors.push({
      name,
      shape: specification.shape,
      source: specification.name,
      kind,
      permuteHeads: null,
      ...more,
    });
  };
  for (const specification of parameterSpecifications(configuration)) {
    const { local, layer } = specification;
    if (layer === null) {
      if (specification.name === embeddingName) push('token_embd.weight', specification, 'embedding');
      else if (specification.name === finalNormName) push('output_norm.weight', specification, 'norm');
      else push('output.weight', specification, 'embedding');
      continue;
    }
    const block = `blk.${layer}.`;
    if (local === 'attentionNorm') push(`${block}attn_norm.weight`, specification, 'norm');
    else if (local === 'ffnNorm') {
      push(
        `${block}ffn_norm.weight`,
        specification,
        'norm',
        moveFfnNorm ? { source: new Float32Array(hiddenSize).fill(1) } : {},
      );
      if (moveFfnNorm)
        for (const name of ['ffn_gate_norm_in', 'ffn_up_norm_in'])
          push(`${block}${name}.weight`, specification, 'norm');
    } else if (local === 'q.norm' || local === 'k.norm')
      push(`${block}attn_${local[0]!}_norm.weight`, specification, 'norm');
    else if (local.endsWith('.subln'))
      push(`${block}${sublnTensor(architecture, local)}.weight`, specification, 'norm');
    else if (local.endsWith('.bias')) {
      const projection = local[0] as 'q' | 'k' | 'v';
      push(`${block}${moduleNames[projection]}.bias`, specification, 'norm', {
        permuteHeads: rotatedHeads(projection),
      });
    } else
      push(`${block}${moduleNames[local as Projection]}.weight`, specification, 'linear', {
        permuteHeads: rotatedHeads(local),
      });
  }
  const ropeFactors = ropeFrequencyFactors(configuration);
  if (ropeFactors)
    tensors.push({
      name: 'rope_freqs.weight',
      shape: [ropeFactors.length],
      source: ropeFactors,
      kind: 'norm',
      permuteHeads: null,
    });
  return {
    architecture,
    tensors,
    notes,
    integers: {
      context_length: configuration.maxPositions,
      embedding_length: hiddenSize,
      block_count: configuration.layers,
      feed_forward_length: configuration.ffnSize,
      'attention.head_count': heads,
      'attention.head_count_kv': kvHeads,
      'attention.key_length': headSize,
      'attention.value_length': headSize,
      'rope.dimension_count': headSize,
      vocab_size: configuration.vocabSize,
    },
    floats: {
      'attention.layer_norm_rms_epsilon': configuration.rmsNormEpsilon,
      'rope.freq_base': configuration.ropeTheta,
    },
  };
}

/** Calls `visit` with the first value of each row in half-split order (Hugging Face) and in interleaved order (`llama`). */
function rotaryRows(
  length: number,
  heads: number,
  columns: number,
  visit: (halfSplit: number, interleaved: number) => void,
): void {
  const headSize = length / (heads * columns);
  const half = headSize / 2;
  for (let head = 0; head < heads; head += 1)
    for (let index = 0; index < half; index += 1)
      for (let part = 0; part < 2; part += 1)
        visit((head * headSize + part * half + index) * columns, (head * headSize + 2 * index + part) * columns);
}

/**
 * Rows of a query or key matrix `[heads * D, K]`, or values of its bias (K = 1), from the half-split order of Hugging Face to the interleaved order of the
 * `llama` architecture: row `i + j * D/2` of a head becomes row `2 i + j`.
 */
export function permuteRotaryRows(values: Float32Array, heads: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  rotaryRows(values.length, heads, columns, (halfSplit, interleaved) => {
    result.set(values.subarray(halfSplit, halfSplit + columns), interleaved);
  });
  return result;
}

/** The inverse of `permuteRotaryRows`. */
export function unpermuteRotaryRows(values: Float32Array, heads: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  rotaryRows(values.length, heads, columns, (halfSplit, interleaved) => {
    result.set(values.subarray(interleaved, interleaved + columns), halfSplit);
  });
  return result;
}
