/** The gated activation of a feed-forward layer. */
import type { Graph, Value } from '../graph.ts';
import { microsoft, multiply } from './basic.ts';

/** SwiGLU: silu(gate) * up, all `[B, T, F]`. */
export function swiGlu(graph: Graph, gate: Value, up: Value): Value {
  // x * sigmoid(x), fused.
  const silu = graph.node1('QuickGelu', [gate], gate.shape, {
    domain: microsoft,
    attributes: { alpha: { float: 1 } },
    cheap: true,
  });
  const y = multiply(graph, silu, up, false);
  graph.record([gate, up], [y], ([dy]) => {
    const sigmoid = graph.node1('Sigmoid', [gate], gate.shape);
    const one = graph.constant(1);
    const tail = multiply(graph, silu, graph.node1('Sub', [one, sigmoid], gate.shape));
    const slope = graph.node1('Add', [sigmoid, tail], gate.shape);
    return [multiply(graph, multiply(graph, dy!, up), slope), multiply(graph, dy!, silu)];
  });
  return y;
}
