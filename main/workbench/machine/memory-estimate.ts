/** How much memory a training stage takes, from shapes alone, with every assumption in the open. */

export interface ModelShape {
  readonly name: string;
  /** A tied head counts once. */
  readonly parameters: number;
  /** Those of the linear layers, which become ternary. */
  readonly bodyParameters: number;
  readonly vocabularySize: number;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly ffnSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

const vocabularySize = 151_936;

/** The published Qwen3 shapes. */
export const qwen3Shapes: readonly ModelShape[] = [
  {
    name: 'Qwen3-0.6B',
    parameters: 596e6,
    bodyParameters: 440e6,
    vocabularySize,
    layers: 28,
    hiddenSize: 1024,
    ffnSize: 3072,
    heads: 16,
    kvHeads: 8,
    headDim: 128,
  },
  {
    name: 'Qwen3-1.7B',
    parameters: 1_720e6,
    bodyParameters: 1_409e6,
    vocabularySize,
    layers: 28,
    hiddenSize: 2048,
    ffnSize: 6144,
    heads: 16,
    kvHeads: 8,
    headDim: 128,
  },
  {
    name: 'Qwen3-4B',
    parameters: 4_022e6,
    bodyParameters: 3_633e6,
    vocabularySize,
    layers: 36,
    hiddenSize: 2560,
    ffnSize: 9728,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
  },
  {
    name: 'Qwen3-8B',
    parameters: 8_191e6,
    bodyParameters: 6_945e6,
    vocabularySize,
    layers: 36,
    hiddenSize: 4096,
    ffnSize: 12288,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
  },
];

export type TrainingStage = 'finetune' | 'pretrain' | 'distil';

/** Weight, gradient and two AdamW moments in float32. */
const trainedBytes = 4 * 4;
/** Of a ternary weight: float32 for the backward pass, int8 for the forward one. */
const ternaryCopyBytes = 4 + 1;
const teacherBytes = 4;
/** The process with the engine and its graphs before any model. */
const engineBytes = 0.2e9;
/** Logits that the head holds at a time: at most so many, of at most so many rows (`chunkRows`). */
const headLogits = 40e6;
const headRows = 1024;

/** Buffers of the size of the head's logits that are alive together: logits, their softmax and gradient; with a teacher its own and both at tau. */
const headBuffers: Record<TrainingStage, number> = { finetune: 3, pretrain: 3, distil: 6 };
/** The same of the relation's `[S, T, T]` matrices: scores, logarithms, probabilities and gradients of both models. */
const relationBuffers = 8;
const mostRelationHeads = 32;

/**
 * Floats per token of one layer, its input included (main/models/decoder-layer.ts): vectors of the hidden size, of the heads' width, of keys and
 * values, of the feed-forward size, and the attention probabilities. `kept` for the backward pass: a ternary layer keeps what enters its
 * projections in a byte each; `working`: what a session that runs holds.
 */
function floatsPerLayer(shape: ModelShape, rowLength: number, ternary: boolean): { kept: number; working: number } {
  const { hiddenSize, ffnSize, heads, kvHeads, headDim } = shape;
  const attention = 3 * heads * headDim + 3 * kvHeads * headDim + heads * rowLength;
  const other = 2 * hiddenSize + attention + 3 * ffnSize;
  const entering = 2 * hiddenSize + heads * headDim + ffnSize;
  if (!ternary) return { kept: other + 2 * hiddenSize, working: other + 2 * hiddenSize };
  return { kept: other + entering / 4, working: other + entering };
}

/** Relation heads that `auto` takes: the largest power of two up to 32 that leaves pieces of at least 8. */
function relationHeads({ kvHeads, headDim }: ModelShape): number {
  let split = mostRelationHeads;
  while (split > 1 && ((kvHeads * headDim) % split !== 0 || (kvHeads * headDim) / split < 8)) split /= 2;
  return split;
}

/**
 * Bytes for one step of a stage on this shape (the teacher has it too), `tokens` per micro-batch in rows of `rowLength`: weights with their
 * training state, what the layers keep, what the engine's sessions hold while they run (about one layer's worth in the forward pass, two in the
 * backward pass, three when it computes the layer again), the head's logits, the relation's matrices, the engine.
 */
export function stageBytes(
  stage: TrainingStage,
  shape: ModelShape,
  tokens: number,
  rowLength: number,
  recompute: boolean,
): number {
  const { parameters, bodyParameters, vocabularySize: vocabulary, layers, hiddenSize } = shape;
  const distils = stage === 'distil';
  const ternary = stage !== 'finetune';
  const weights =
    parameters * (trainedBytes + (distils ? teacherBytes : 0)) + (ternary ? bodyParameters * ternaryCopyBytes : 0);
  const perLayer = floatsPerLayer(shape, rowLength, ternary);
  const kept = layers * (recompute ? hiddenSize : perLayer.kept);
  const backward = recompute ? 3 : 2;
  // A distillation has a second backward session, in which the relation's gradients enter, and the teacher's forward pass.
  const sessions = (1 + backward * (distils ? 2 : 1) + (distils ? 1 : 0)) * perLayer.working;
  const relation = distils ? relationBuffers * relationHeads(shape) * rowLength : 0;
  const rows = Math.min(tokens, headRows, Math.max(16, Math.floor(headLogits / vocabulary)));
  const head = rows * vocabulary * headBuffers[stage];
  return weights + 4 * (tokens * (kept + sessions + relation) + head) + engineBytes;
}

/** Bytes of the stage that takes most: the distillation, with teacher and student in memory. */
export function distillationBytes(shape: ModelShape, tokens: number, rowLength: number, recompute: boolean): number {
  return stageBytes('distil', shape, tokens, rowLength, recompute);
}
