/**
 * Which GGUF tensors and keys hold a model (docs/formats.md, 1 and 3). One place decides; the
 * writer and the read-back both follow it.
 */
import { tell, type Told } from '../../contract/messages/told.ts';
import { TritsmithError } from '../../contract/errors.ts';
import {
  type GgufKeys,
  ggufKeys,
  ggufTensorName,
  keysHoldKinds,
  regroupedHeads,
} from '../../models/architectures/gguf.ts';
import { architectureOf } from '../../models/architectures/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { inverseFrequencies } from '../../models/rotary-tables.ts';
import { parameterSpecifications } from '../../models/parameters.ts';

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
}

/** Keys of the model's shape are without the architecture's prefix, tokenizer and file type. */
export interface GgufPlan extends GgufKeys {
  readonly architecture: string;
  readonly tensors: readonly GgufTensorPlan[];
  /** Restrictions that a user should know. */
  readonly notes: readonly Told[];
}

/** By how much scaling slows each rotary frequency down, `[R/2]`; null without scaling, and for linear scaling, which has a key. */
function ropeFrequencyFactors(configuration: ModelConfiguration): Float32Array | null {
  if (!configuration.ropeScaling || configuration.ropeScaling.kind === 'linear') return null;
  const plain = inverseFrequencies({ ...configuration, ropeScaling: null });
  return Float32Array.from(inverseFrequencies(configuration), (scaled, index) => plain[index]! / scaled);
}

/**
 * @param separateScales ternary matrices are of a type without room for their scale (TQ2_0, TQ1_0)
 * @throws TritsmithError `unsupported`, with the way out, when no architecture holds the model
 */
export function planGguf(configuration: ModelConfiguration, separateScales = false): GgufPlan {
  const architecture = architectureOf(configuration.architecture).gguf(configuration, separateScales);
  if (!keysHoldKinds(architecture, configuration))
    throw new TritsmithError('unsupported', 'export.layer-kinds', { architecture: architecture.name });
  const { heads, headSize, hiddenSize, subln, tiedEmbeddings } = configuration;
  const notes: Told[] = [];
  if (architecture.name === 'bitnet' && heads * headSize !== hiddenSize)
    throw new TritsmithError('unsupported', 'export.bitnet-shape', { heads, headSize, hiddenSize });
  if (architecture.name === 'bitnet' && !tiedEmbeddings) notes.push(tell('note.bitnet-head'));
  if (architecture.name === 'bitnet' && configuration.ropeScaling) notes.push(tell('note.bitnet-rope'));
  if (architecture.subln === 'norm-in' && subln !== 'none')
    notes.push(
      tell(architecture.inBitnetCpp ? 'note.subln-not-in-llama-cpp' : 'note.subln-ours-alone', {
        architecture: architecture.name,
      }),
    );
  const window = configuration.layerKinds.find((kind) => kind.window !== null)?.window ?? null;
  if (window !== null && !architecture.windows)
    notes.push(tell('note.window-ignored', { architecture: architecture.name, window }));
  if (architecture.name === 'phi3') notes.push(tell('note.phi3-apart'));
  // SubLN before o and down alone: bitnet.cpp applies ffn_down_norm_in only beside ffn_gate_norm_in, so the FFN norm moves there.
  const moveFfnNorm = architecture.subln === 'norm-in' && architecture.inBitnetCpp && subln === 'paper';

  const tensors: GgufTensorPlan[] = [];
  for (const { name: source, shape, local, layer } of parameterSpecifications(configuration)) {
    const kind = layer === null && local !== 'finalNorm' ? 'embedding' : shape.length === 1 ? 'norm' : 'linear';
    const name = ggufTensorName(architecture, local, layer);
    const permuteHeads = regroupedHeads(architecture, configuration, local);
    const moves = moveFfnNorm && local === 'ffnNorm';
    tensors.push({ name, shape, source: moves ? new Float32Array(hiddenSize).fill(1) : source, kind, permuteHeads });
    if (moves)
      for (const projection of ['gate.subln', 'up.subln'])
        tensors.push({ name: ggufTensorName(architecture, projection, layer), shape, source, kind, permuteHeads });
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
  return { architecture: architecture.name, tensors, notes, ...ggufKeys(configuration) };
}

/** What keeps a model out of every GGUF file, and so out of our runtime; null where nothing does. */
export function whyNoGguf(configuration: ModelConfiguration): string | null {
  try {
    planGguf(configuration);
    return null;
  } catch (error) {
    if (error instanceof TritsmithError && error.code === 'unsupported') return error.message;
    throw error;
  }
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
