/** The gated activations of feed-forward layers. */
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

/** relu(gate)^2 * up, all `[B, T, F]` (BitNet b1.58 2B4T). */
export function reluSquaredGlu(graph: Graph, gate: Value, up: Value): Value {
  const relu = graph.node1('Relu', [gate], gate.shape, { cheap: true });
  const y = multiply(graph, multiply(graph, relu, relu, false), up, false);
  graph.record([gate, up], [y], ([dy]) => {
    const slope = multiply(graph, relu, graph.constant(2));
    return [multiply(graph, multiply(graph, dy!, up), slope), multiply(graph, dy!, multiply(graph, relu, relu))];
  });
  return y;
}

/** GeGLU: gelu(gate) * up, all `[B, T, F]`, with gelu(x) = x/2 (1 + tanh(a (x + b x^3))), a = sqrt(2/pi), b = 0.044715. */
export function geGlu(graph: Graph, gate: Value, up: Value): Value {
  const gelu = graph.node1('FastGelu', [gate], gate.shape, { domain: microsoft, cheap: true });
  const y = multiply(graph, gelu, up, false);
  graph.record([gate, up], [y], ([dy]) => {
    const [a, b] = [Math.sqrt(2 / Math.PI), 0.044715];
    const node = (operator: string, inputs: Value[]): Value => graph.node1(operator, inputs, gate.shape);
    const linear = (x: Value, factor: number, term: number): Value =>
      node('Add', [multiply(graph, x, graph.constant(factor)), graph.constant(term)]);
    const square = multiply(graph, gate, gate);
    const tanh = node('Tanh', [multiply(graph, gate, linear(square, a * b, a))]);
    // d gelu / d gate = (1 + t)/2 + gate/2 (1 - t^2) (a + 3 a b gate^2)
    const inner = multiply(graph, gate, linear(square, 1.5 * a * b, 0.5 * a));
    const bend = multiply(graph, inner, linear(multiply(graph, tanh, tanh), -1, 1));
    const slope = node('Add', [linear(tanh, 0.5, 0.5), bend]);
    return [multiply(graph, multiply(graph, dy!, up), slope), multiply(graph, dy!, gelu)];
  });
  return y;
}
