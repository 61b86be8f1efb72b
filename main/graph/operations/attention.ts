/** Rotary positions and grouped-query attention. */
import { type Dimension, type Graph, multiplyDimensions, type Value } from '../graph.ts';
import type { Attribute } from '../onnx-format.ts';
import { matmul, microsoft, multiply } from './basic.ts';

/** Tables of the rotary embedding: cos and sin `[positions, R/2]`, for the R rotated dimensions of a head. */
export interface RotaryTables {
  readonly cos: Value;
  readonly sin: Value;
}

/**
 * Rotary position embedding in the half-split (NEOX) layout of Hugging Face; x `[B, T, H*D]`, position = index.
 * @param part where only the first dimensions of each head are rotated
 */
export function rotary(
  graph: Graph,
  x: Value,
  tables: RotaryTables,
  part: { readonly heads: number; readonly rotated: number } | null = null,
): Value {
  const attributes: Readonly<Record<string, Attribute>> = part
    ? { num_heads: { int: part.heads }, rotary_embedding_dim: { int: part.rotated } }
    : {};
  const apply = (input: Value, sin: Value): Value =>
    graph.node1('RotaryEmbedding', [input, graph.integers([0]), tables.cos, sin], input.shape, {
      domain: microsoft,
      attributes,
    });
  const y = apply(x, tables.sin);
  graph.record([x], [y], ([dy]) => [apply(dy!, graph.node1('Neg', [tables.sin], tables.sin.shape, { cheap: true }))]);
  return y;
}

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** Factor of the scores; default: 1 / sqrt(headSize). */
  readonly scale?: number | null;
}

/**
 * What the rows of attention see, as an input of the graph: an additive mask `mask` `[T, T]`; where attention is streamed the number `window` `[1]`: row i sees the
 * keys from `i + 1 - window` to i.
 */
export function attentionReach(graph: Graph): Value {
  return graph.streamsAttention ? graph.input('window', [1]) : graph.input('mask', ['T', 'T']);
}

/** A window that closes nothing. */
export const wholeRow = 2 ** 30;

/** Grouped-query attention: q `[B, T, H*D]`, k and v `[B, T, Hk*D]` and what the rows see (`attentionReach`) -> `[B, T, H*D]`. */
export function attention(graph: Graph, q: Value, k: Value, v: Value, reach: Value, shape: AttentionShape): Value {
  return (graph.streamsAttention ? streamedAttention : wholeAttention)(graph, q, k, v, reach, shape);
}

const scaleOf = ({ scale, headSize }: AttentionShape): number => scale ?? 1 / Math.sqrt(headSize);

/**
 * Scores are made block by block and forgotten; the pass backward makes them again from the logarithm of each row's sum of exponentials, `[B, T, H]`.
 * With P = exp(S - logSum), `dS = P * (dO v^T - rowsum(dO * o))`.
 */
function streamedAttention(graph: Graph, q: Value, k: Value, v: Value, window: Value, shape: AttentionShape): Value {
  const { heads, kvHeads } = shape;
  const attributes = { heads: { int: heads }, kvHeads: { int: kvHeads }, scale: { float: scaleOf(shape) } };
  const rows = q.shape.slice(0, -1);
  const [o, logSum] = graph.node('StreamedAttention', [q, k, v, window], [q.shape, [...rows, heads]], {
    attributes,
  }) as [Value, Value];
  graph.record([q, k, v], [o], ([dO]) => {
    // In one value, because a card may have no more than eight for a kernel.
    const statistics = graph.node1('StreamedAttentionRows', [o, dO!, logSum], [...rows, 2 * heads], { attributes });
    const inputs = [q, k, v, dO!, statistics, window];
    const dQ = graph.node1('StreamedAttentionQueries', inputs, q.shape, { attributes });
    const [dK, dV] = graph.node('StreamedAttentionKeys', inputs, [k.shape, v.shape], { attributes });
    return [dQ, dK!, dV!];
  });
  return o;
}

/**
 * With all scores of a head in memory. The queries of one key-value head are stacked, so keys and values are never repeated and their gradients add up by themselves.
 * Probabilities are computed again in the pass backward: they would be `T` values of each head and token, more than all else that a layer keeps of long rows.
 */
function wholeAttention(graph: Graph, q: Value, k: Value, v: Value, mask: Value, shape: AttentionShape): Value {
  const { heads, kvHeads, headSize } = shape;
  const group = heads / kvHeads;
  const [B, T] = q.shape as [Dimension, Dimension];
  const scale = scaleOf(shape);
  const stackedRows = multiplyDimensions(group, T);
  const stacked = [B, kvHeads, stackedRows, headSize];
  const perKvHead = [B, kvHeads, T, headSize];
  const scores = [B, kvHeads, stackedRows, T];
  const node = (operator: string, inputs: Value[], to: readonly Dimension[], perm?: number[]): Value =>
    graph.node1(operator, inputs, to, { cheap: true, ...(perm ? { attributes: { perm: { ints: perm } } } : {}) });

  /** `[B, T, H*D]` -> `[B, Hk, G*T, D]`. */
  const stack = (x: Value): Value => {
    const split = node(
      'Reshape',
      [x, graph.integers([0, 0, kvHeads, group, headSize])],
      [B, T, kvHeads, group, headSize],
    );
    const turned = node('Transpose', [split], [B, kvHeads, group, T, headSize], [0, 2, 3, 1, 4]);
    return node('Reshape', [turned, graph.integers([0, 0, -1, headSize])], stacked);
  };
  /** `[B, Hk, G*T, D]` -> `[B, T, H*D]`. */
  const unstack = (x: Value): Value => {
    const split = node('Reshape', [x, graph.integers([0, 0, group, -1, headSize])], [B, kvHeads, group, T, headSize]);
    const turned = node('Transpose', [split], [B, T, kvHeads, group, headSize], [0, 3, 1, 2, 4]);
    return node('Reshape', [turned, graph.integers([0, 0, heads * headSize])], q.shape);
  };
  const splitKv = (x: Value): Value =>
    node(
      'Transpose',
      [node('Reshape', [x, graph.integers([0, 0, kvHeads, headSize])], [B, T, kvHeads, headSize])],
      perKvHead,
      [0, 2, 1, 3],
    );
  const mergeKv = (x: Value): Value =>
    node(
      'Reshape',
      [node('Transpose', [x], [B, T, kvHeads, headSize], [0, 2, 1, 3]), graph.integers([0, 0, kvHeads * headSize])],
      k.shape,
    );

  const q4 = stack(q);
  const k4 = splitKv(k);
  const v4 = splitKv(v);
  const raw = matmul(graph, q4, k4, scores, { transposeB: true, alpha: scale, cheap: true });
  const perHead = [B, kvHeads, group, T, T];
  const masked = graph.node1(
    'Add',
    [node('Reshape', [raw, graph.integers([0, 0, group, 0, -1])], perHead), mask],
    perHead,
    { cheap: true },
  );
  const softmax = graph.node1('Softmax', [masked], perHead, { cheap: true, attributes: { axis: { int: -1 } } });
  const p = node('Reshape', [softmax, graph.integers([0, 0, -1, 0])], scores);
  const output = matmul(graph, p, v4, stacked);
  const o = unstack(output);
  graph.record([q, k, v], [o], ([dOut]) => {
    const dO = stack(dOut!);
    const dV = matmul(graph, p, dO, perKvHead, { transposeA: true });
    const dP = matmul(graph, dO, v4, scores, { transposeB: true });
    const product = multiply(graph, dO, output);
    const delta = graph.node1('ReduceSum', [product, graph.integers([-1])], [B, kvHeads, stackedRows, 1]);
    const dS = multiply(graph, p, graph.node1('Sub', [dP, delta], scores));
    const dQ = matmul(graph, dS, k4, stacked, { alpha: scale });
    const dK = matmul(graph, dS, q4, perKvHead, { transposeA: true, alpha: scale });
    return [unstack(dQ), mergeKv(dK), mergeKv(dV)];
  });
  return o;
}
