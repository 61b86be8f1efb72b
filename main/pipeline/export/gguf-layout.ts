/**
 * Which GGUF tensors and keys hold a model (docs/formats.md, 1 and 3). One place decides; the
 * writer and the read-back both follow it.
 */
import { tell, type Told } from '../../contract/messages/told.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { activationsOf, type Quantisation } from '../../contract/quantisation.ts';
import { hasOwnActivations } from '../../contract/quantisation-in-files.ts';
import {
  type GgufKeys,
  ggufKeys,
  ggufTensorName,
  keysHoldKinds,
  ownPrefix,
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
  /** How a matrix of a ternary model is quantised. */
  readonly quantisation: Quantisation;
  /** Where `shape` is wider than the parameter (padded-plan.ts): the parameter's shape, and what its values (a ternary matrix: its scale) are multiplied by. */
  readonly padded?: { readonly from: readonly number[]; readonly factor: number };
}

/** Keys of the model's shape are without the architecture's prefix, tokenizer and file type. */
export interface GgufPlan extends GgufKeys {
  readonly architecture: string;
  readonly tensors: readonly GgufTensorPlan[];
  /** Restrictions that a user should know. */
  readonly notes: readonly Told[];
}

export interface PlanOptions {
  /** Ternary matrices are of a type without room for their scale, so the file has `*.scale` tensors. */
  readonly separateScales?: boolean;
  /**
   * The file is for our runtime alone, which takes `*_norm_in` in every architecture without SubLN (docs/formats.md, 3.4): any model fits. So is every file of a
   * model whose inputs are turned or have 4 bits (3.5).
   */
  readonly own?: boolean;
  /** The file has tensors of our own type, so its architecture has a name of its own too (3.5). */
  readonly ownType?: boolean;
}

/** By how much scaling slows each rotary frequency down, `[R/2]`; null without scaling, and for linear scaling, which has a key. */
function ropeFrequencyFactors(configuration: ModelConfiguration): Float32Array | null {
  if (!configuration.ropeScaling || configuration.ropeScaling.kind === 'linear') return null;
  const plain = inverseFrequencies({ ...configuration, ropeScaling: null });
  return Float32Array.from(inverseFrequencies(configuration), (scaled, index) => plain[index]! / scaled);
}

/** @throws TritsmithError `unsupported`, with the way out, when no architecture holds the model */
export function planGguf(
  configuration: ModelConfiguration,
  { separateScales = false, own: forUs = false, ownType = false }: PlanOptions = {},
): GgufPlan {
  const ownActivations = configuration.ternary && hasOwnActivations(configuration.quantisation);
  const prefixed = ownActivations || ownType;
  const held = forUs || prefixed ? { ...configuration, subln: 'none' as const } : configuration;
  const architecture = architectureOf(configuration.architecture).gguf(held, separateScales);
  if (!keysHoldKinds(architecture, configuration))
    throw new TritsmithError('unsupported', 'export.layer-kinds', { architecture: architecture.name });
  const { heads, headSize, hiddenSize, subln, tiedEmbeddings, quantisation } = configuration;
  const notes: Told[] = [];
  const subNorm = architecture.subln === 'sub-norm';
  if (subNorm && heads * headSize !== hiddenSize)
    throw new TritsmithError('unsupported', 'export.bitnet-shape', { heads, headSize, hiddenSize });
  if (subNorm && !tiedEmbeddings) notes.push(tell('note.bitnet-head'));
  if (subNorm && configuration.ropeScaling) notes.push(tell('note.bitnet-rope'));
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
  for (const { name: source, shape, local, layer, scaleOf } of parameterSpecifications(configuration)) {
    // A learned scale is in the file as its matrix's scale.
    if (scaleOf !== null) continue;
    const kind = layer === null && local !== 'finalNorm' ? 'embedding' : shape.length === 1 ? 'norm' : 'linear';
    const name = ggufTensorName(architecture, local, layer);
    const permuteHeads = regroupedHeads(architecture, configuration, local);
    const moves = moveFfnNorm && local === 'ffnNorm';
    const own = { shape, kind, permuteHeads, quantisation } as const;
    tensors.push({ ...own, name, source: moves ? new Float32Array(hiddenSize).fill(1) : source });
    if (moves)
      for (const projection of ['gate.subln', 'up.subln'])
        tensors.push({ ...own, name: ggufTensorName(architecture, projection, layer), source });
  }
  const ropeFactors = ropeFrequencyFactors(configuration);
  if (ropeFactors)
    tensors.push({
      name: 'rope_freqs.weight',
      shape: [ropeFactors.length],
      source: ropeFactors,
      kind: 'norm',
      permuteHeads: null,
      quantisation,
    });
  const keys = ggufKeys(configuration);
  if (!prefixed) return { architecture: architecture.name, tensors, notes, ...keys };
  // What other programs do with the bare architecture is of no account.
  const alone = ownActivations ? tell('note.own-activations', activationsOf(quantisation)) : tell('note.own-type');
  return { architecture: `${ownPrefix}${architecture.name}`, tensors, notes: [alone], ...keys };
}
