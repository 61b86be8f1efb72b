/** How much memory a distillation takes, from shapes alone, with every assumption in the open. */

export interface ModelShape {
  readonly name: string;
  readonly parameters: number;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly ffnSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** The published Qwen3 shapes; parameters count a tied embedding once. */
export const qwen3Shapes: readonly ModelShape[] = [
  {
    name: 'Qwen3-0.6B',
    parameters: 596e6,
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
    layers: 36,
    hiddenSize: 4096,
    ffnSize: 12288,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
  },
];

/** Student: weight, ternary copy, gradient and two AdamW moments in float32. Teacher: its weight. */
const STUDENT_BYTES = 5 * 4;
const TEACHER_BYTES = 4;
/** The engine, its graphs and the workspace of its matrix products. */
const ENGINE_BYTES = 0.5e9;

/**
 * Bytes for one distillation step of a student of this shape with a teacher of the same shape, `tokens` per micro-batch in rows
 * of `rowLength`. Activations in float32: per token and layer five vectors of the hidden size, three of the heads' width,
 * two each of keys and values, four of the feed-forward size, and the attention probabilities.
 */
export function distillationBytes(shape: ModelShape, tokens: number, rowLength: number, recompute: boolean): number {
  const { layers, hiddenSize, ffnSize, heads, kvHeads, headDim } = shape;
  const perLayer = 5 * hiddenSize + 3 * heads * headDim + 4 * kvHeads * headDim + 4 * ffnSize + heads * rowLength;
  const perToken = recompute ? perLayer + layers * hiddenSize : layers * perLayer;
  return shape.parameters * (STUDENT_BYTES + TEACHER_BYTES) + tokens * perToken * 4 + ENGINE_BYTES;
}
