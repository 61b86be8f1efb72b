/** What the engine needs to know of a model, whatever its family. Read from a Hugging Face `config.json` by architectures/. */
import type { SublnPlacement } from '../contract/recipe.ts';

export type Projection = 'q' | 'k' | 'v' | 'o' | 'gate' | 'up' | 'down';
export const projections: readonly Projection[] = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];

/** Llama-3 frequency scaling of the rotary embedding. */
export interface Llama3RopeScaling {
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalMaxPositions: number;
}

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
  readonly ropeScaling: Llama3RopeScaling | null;
  readonly maxPositions: number;
  readonly tiedEmbeddings: boolean;
  readonly qkvBias: boolean;
  readonly qkNorm: boolean;
  /** Linear layers are BitLinear: ternary weights, int8 activations. */
  readonly ternary: boolean;
  /** Where SubLN stands; its epsilon is `rmsNormEpsilon`, because a GGUF file holds one epsilon for all norms. */
  readonly subln: SublnPlacement;
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
