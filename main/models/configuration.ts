/** What the engine needs to know of a model, whatever its family. Read from a Hugging Face `config.json` by architectures/. */
import { TritsmithError } from '../contract/errors.ts';
import { activationsOf, keptOf, plainQuantisation, type Quantisation } from '../contract/quantisation.ts';
import type { SublnPlacement } from '../contract/recipe.ts';

export type Projection = 'q' | 'k' | 'v' | 'o' | 'gate' | 'up' | 'down';
export const projections: readonly Projection[] = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];

/** Llama-3 frequency scaling of the rotary embedding. */
export interface Llama3RopeScaling {
  readonly kind: 'llama3';
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalMaxPositions: number;
}

/** Every frequency is divided by one factor. */
export interface LinearRopeScaling {
  readonly kind: 'linear';
  readonly factor: number;
}

/** Each frequency is divided by a factor of its own; cos and sin are multiplied by `magnitude` (LongRoPE; the `rope_freqs` of a GGUF file). */
export interface RopeFactors {
  readonly kind: 'factors';
  readonly factors: readonly number[];
  readonly magnitude: number;
  /** Positions for which these factors hold. */
  readonly positions: number;
}

export type RopeScaling = Llama3RopeScaling | LinearRopeScaling | RopeFactors;

/** What differs between the layers of a model besides their weights. It costs no graph of its own: mask and rotary tables are inputs of a layer. */
export interface LayerKind {
  /** Positions that a token sees, itself included; null: all before it. */
  readonly window: number | null;
  /** Rotary embedding: with the model's base and scaling, with the local base and no scaling, or none (NoPE). */
  readonly rope: 'global' | 'local' | 'none';
}

/** Of the gate in a feed-forward layer. */
export type Activation = 'silu' | 'gelu-tanh' | 'relu-squared';

/** Where a layer normalises: before attention and feed-forward, after them (OLMo 2), or both (Gemma 3's sandwich). */
export type NormPlacement = 'before' | 'after' | 'around';

export interface ModelConfiguration {
  /** Key of the architecture's file in architectures/. */
  readonly architecture: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Not always hiddenSize / heads. */
  readonly headSize: number;
  readonly ffnSize: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  /** Base of the layers whose kind is `local`; null where there are none. */
  readonly localRopeTheta: number | null;
  /** Share of a head's dimensions that are rotated, the first ones. */
  readonly rotaryFactor: number;
  /** Kinds of the layers, repeated from the first layer to the last; see `layerKind`. */
  readonly layerKinds: readonly LayerKind[];
  readonly activation: Activation;
  readonly norms: NormPlacement;
  readonly maxPositions: number;
  readonly tiedEmbeddings: boolean;
  readonly qkvBias: boolean;
  /** RMSNorm of queries and keys: of each head, or of the whole projection (OLMo 2). */
  readonly qkNorm: 'none' | 'head' | 'projection';
  /** Factor of the embedding's rows. */
  readonly embeddingScale: number;
  /** Factor of the attention scores; null: 1 / sqrt(headSize). */
  readonly attentionScale: number | null;
  /** Factor of what attention and feed-forward add to the hidden state. */
  readonly residualScale: number;
  /** Factor of the logits. */
  readonly logitScale: number;
  /** Linear layers are BitLinear: ternary weights, activations of 8 or 4 bits. */
  readonly ternary: boolean;
  /** How, where they are. */
  readonly quantisation: Quantisation;
  /** Where SubLN stands; its epsilon is `rmsNormEpsilon`, because a GGUF file holds one epsilon for all norms. */
  readonly subln: SublnPlacement;
}

/** What a family has unless its file says otherwise: Llama's layers, all of one kind. */
export const plainDecoder = {
  ropeScaling: null,
  localRopeTheta: null,
  rotaryFactor: 1,
  layerKinds: [{ window: null, rope: 'global' }],
  activation: 'silu',
  norms: 'before',
  qkvBias: false,
  qkNorm: 'none',
  embeddingScale: 1,
  attentionScale: null,
  residualScale: 1,
  logitScale: 1,
  quantisation: plainQuantisation,
} as const satisfies Partial<ModelConfiguration>;

export function layerKind({ layerKinds }: ModelConfiguration, layer: number): LayerKind {
  return layerKinds[layer % layerKinds.length]!;
}

/** What the rotary embedding depends on. */
export type RotarySettings = Pick<
  ModelConfiguration,
  'headSize' | 'rotaryFactor' | 'ropeTheta' | 'localRopeTheta' | 'ropeScaling'
>;

/** Dimensions of a head that are rotated. */
export function rotarySize({ headSize, rotaryFactor }: Pick<RotarySettings, 'headSize' | 'rotaryFactor'>): number {
  return Math.trunc(headSize * rotaryFactor);
}

/** Whether a projection has a SubLN before it. */
export function hasSubln(configuration: ModelConfiguration, projection: Projection): boolean {
  if (configuration.subln === 'all') return true;
  return configuration.subln === 'paper' && (projection === 'o' || projection === 'down');
}

/** `[O, K]` of a projection's weight. */
export function projectionShape(configuration: ModelConfiguration, projection: Projection): [number, number] {
  const { hiddenSize, ffnSize, heads, kvHeads, headSize } = configuration;
  switch (projection) {
    case 'q':
      return [heads * headSize, hiddenSize];
    case 'k':
    case 'v':
      return [kvHeads * headSize, hiddenSize];
    case 'o':
      return [hiddenSize, heads * headSize];
    case 'gate':
    case 'up':
      return [ffnSize, hiddenSize];
    case 'down':
      return [hiddenSize, ffnSize];
  }
}

/** Widths of a layer's queries, keys and values. */
export interface StateWidths {
  readonly q: number;
  readonly k: number;
  readonly v: number;
}

export function stateWidths({ heads, kvHeads, headSize }: ModelConfiguration): StateWidths {
  return { q: heads * headSize, k: kvHeads * headSize, v: kvHeads * headSize };
}

/**
 * Shape of the scales of a ternary matrix `[O, K]`: one, one a row, or `[O, G, 1]` for groups of columns. In row-major order every scale belongs to
 * as many consecutive weights.
 */
export function scaleShape({ weights: { group } }: Quantisation, [rows, columns]: readonly [number, number]): number[] {
  if (group === 'tensor') return [1];
  return group === 'row' ? [rows] : [rows, columns / group, 1];
}

/** How many they are. */
export function scaleCount(quantisation: Quantisation, shape: readonly [number, number]): number {
  return scaleShape(quantisation, shape).reduce((product, dimension) => product * dimension);
}

/** Whether a matrix has one scale, one a row, or several in a row. */
export function scaleKind({ weights: { group } }: Quantisation): 'tensor' | 'row' | 'columns' {
  return typeof group === 'number' ? 'columns' : group;
}

/**
 * Columns of a projection's input that are turned together by a Hadamard matrix: the largest power of two that divides them all (docs/method.md, 2.9); 1: nothing
 * is turned. A matrix's latent weights are turned likewise, so they stand in a model's folder as its configuration computes with them.
 */
export function hadamardBlock(
  configuration: Pick<ModelConfiguration, 'ternary' | 'quantisation' | 'hiddenSize' | 'ffnSize' | 'heads' | 'headSize'>,
  projection: Projection,
): number {
  const { ternary, quantisation, heads, headSize, ffnSize } = configuration;
  if (!ternary || !activationsOf(quantisation).hadamard) return 1;
  const columns = projection === 'o' ? heads * headSize : projection === 'down' ? ffnSize : 1;
  return columns & -columns;
}

/** Below this a Hadamard matrix hardly mixes anything. */
const leastHadamardBlock = 16;

/**
 * @throws TritsmithError `bad-input` where the rows of a matrix are no whole number of groups, the formula of the scale has groups of its own or does not go with a
 * sparsity, or a Hadamard matrix has too little to turn
 */
export function assertQuantisable(configuration: ModelConfiguration): void {
  const { scale, group, sparsity } = configuration.quantisation.weights;
  const own = scale === 'deviation' ? 'tensor' : scale === 'row-levels' ? 'row' : null;
  if (own !== null && group !== own) throw new TritsmithError('bad-input', 'quantisation.formula', { scale, own });
  if (sparsity && scale === 'learned')
    throw new TritsmithError('bad-input', 'quantisation.learned-sparsity', { sparsity });
  if (sparsity && keptOf(sparsity).exact && scale !== 'absmean')
    throw new TritsmithError('bad-input', 'quantisation.exact-scale', { scale });
  for (const projection of projections) {
    const [, columns] = projectionShape(configuration, projection);
    if (typeof group === 'number' && columns % group !== 0)
      throw new TritsmithError('bad-input', 'quantisation.group', { projection, columns, group });
    if (sparsity && columns % keptOf(sparsity).of !== 0)
      throw new TritsmithError('bad-input', 'quantisation.sparsity', { projection, columns, sparsity });
    const block = hadamardBlock(configuration, projection);
    const turned = activationsOf(configuration.quantisation).hadamard && (projection === 'o' || projection === 'down');
    if (turned && block < leastHadamardBlock)
      throw new TritsmithError('bad-input', 'quantisation.hadamard', { projection, columns, block });
  }
}
