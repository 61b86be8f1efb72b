/** RMS normalisation, of whole rows and of each head. */
import type { Graph, Value } from '../graph.ts';
import { asRows, lastOf, matmul, multiply, reshape, withLast } from './basic.ts';

/** RMSNorm over the last axis: x / sqrt(mean(x^2) + eps) * weight; x `[..., K]`, weight `[K]`. */
export function rmsNorm(graph: Graph, x: Value, weight: Value, epsilon: number): Value {
  const width = lastOf(x) as number;
  const perToken = withLast(x, 1);
  // The operator hands out 1 / sqrt(mean(x^2) + eps) as its second output.
  const [y, inverseRms] = graph.node('SimplifiedLayerNormalization', [x, weight], [x.shape, perToken], {
    attributes: { axis: { int: -1 }, epsilon: { float: epsilon }, stash_type: { int: 1 } },
  }) as [Value, Value];
  graph.record([x, weight], [y], ([dy]) => {
    const u = multiply(graph, dy!, x);
    const column = graph.node1('Reshape', [weight, graph.integers([width, 1])], [width, 1]);
    const m = matmul(graph, u, column, perToken);
    const dWeight = matmul(graph, asRows(graph, inverseRms), asRows(graph, u), [1, width], { transposeA: true });
    const cube = multiply(graph, multiply(graph, inverseRms, inverseRms), inverseRms);
    const correction = multiply(graph, multiply(graph, m, cube), graph.constant(1 / width));
    const direct = multiply(graph, multiply(graph, dy!, weight), inverseRms);
    return [
      graph.node1('Sub', [direct, multiply(graph, x, correction)], x.shape),
      graph.node1('Reshape', [dWeight, graph.integers([width])], [width]),
    ];
  });
  return y;
}

/** RMSNorm of each head: x `[B, T, H*D]`, weight `[D]` (Qwen3's qk-norm). */
export function headNorm(graph: Graph, x: Value, weight: Value, heads: number, epsilon: number): Value {
  const size = weight.shape[0] as number;
  const perHead = [...x.shape.slice(0, 2), heads, size];
  const split = reshape(graph, x, [0, 0, heads, size], perHead);
  return reshape(graph, rmsNorm(graph, split, weight, epsilon), [0, 0, heads * size], x.shape);
}
