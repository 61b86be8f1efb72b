/** Products, sums and shapes that every operation is made of. Activations are `[B, T, width]`. */
import { type Dimension, type Graph, multiplyDimensions, type Value } from '../graph.ts';

/** Domain of the operators that are ONNX Runtime's own. */
export const microsoft = 'com.microsoft';

/** The last dimension. */
export function lastOf(value: Value): Dimension {
  return value.shape.at(-1)!;
}

/** The shape of `value` with another last dimension. */
export function withLast(value: Value, last: Dimension): Dimension[] {
  return [...value.shape.slice(0, -1), last];
}

/** `[B, T, W]` as `[B*T, W]`. */
export function asRows(graph: Graph, value: Value): Value {
  const width = lastOf(value);
  if (typeof width !== 'number') throw new Error(`rows of ${value.name}: the width must be a number`);
  const rows = value.shape.slice(0, -1).reduce(multiplyDimensions);
  return graph.node1('Reshape', [value, graph.integers([-1, width])], [rows, width], { cheap: true, type: value.type });
}

interface MatMulOptions {
  transposeA?: boolean;
  transposeB?: boolean;
  alpha?: number;
  cheap?: boolean;
}

/** `alpha * A B` with optional transposes of the last two axes; the shape is given because leading axes may differ. */
export function matmul(
  graph: Graph,
  a: Value,
  b: Value,
  shape: readonly Dimension[],
  options: MatMulOptions = {},
): Value {
  return graph.node1('FusedMatMul', [a, b], shape, {
    domain: microsoft,
    cheap: options.cheap ?? false,
    attributes: {
      transA: { int: options.transposeA ? 1 : 0 },
      transB: { int: options.transposeB ? 1 : 0 },
      alpha: { float: options.alpha ?? 1 },
    },
  });
}

/** Product of each element; the smaller operand is repeated. It has no gradient of its own: what uses it in a forward pass records one. */
export function multiply(graph: Graph, a: Value, b: Value, cheap = true): Value {
  const shape = a.shape.length >= b.shape.length ? a.shape : b.shape;
  return graph.node1('Mul', [a, b], shape, { cheap });
}

/** Sum of a and b, both of one shape. */
export function add(graph: Graph, a: Value, b: Value): Value {
  const sum = graph.node1('Add', [a, b], a.shape);
  graph.record([a, b], [sum], ([dSum]) => [dSum!, dSum!]);
  return sum;
}

/** x times a number; x itself where that is 1. */
export function scale(graph: Graph, x: Value, factor: number): Value {
  if (factor === 1) return x;
  const constant = graph.constant(factor);
  const y = multiply(graph, x, constant);
  graph.record([x], [y], ([dy]) => [multiply(graph, dy!, constant)]);
  return y;
}

/** x `[B, T, W]` plus bias `[W]`. */
export function addBias(graph: Graph, x: Value, bias: Value): Value {
  const sum = graph.node1('Add', [x, bias], x.shape);
  graph.record([x, bias], [sum], ([dSum]) => [
    dSum!,
    graph.node1('ReduceSum', [asRows(graph, dSum!), graph.integers([0])], bias.shape, {
      attributes: { keepdims: { int: 0 } },
    }),
  ]);
  return sum;
}

/** Full-precision projection: x `[B, T, K]`, weight `[O, K]` -> `[B, T, O]`. */
export function linear(graph: Graph, x: Value, weight: Value): Value {
  const y = matmul(graph, x, weight, withLast(x, weight.shape[0]!), { transposeB: true });
  graph.record([x, weight], [y], ([dy]) => [
    matmul(graph, dy!, weight, x.shape),
    matmul(graph, asRows(graph, dy!), asRows(graph, x), weight.shape, { transposeA: true }),
  ]);
  return y;
}

/** Reshape by ONNX rules (0 keeps a dimension, -1 infers one). */
export function reshape(graph: Graph, x: Value, to: readonly number[], shape: readonly Dimension[]): Value {
  const y = graph.node1('Reshape', [x, graph.integers(to)], shape, { cheap: true });
  graph.record([x], [y], ([dy]) => {
    const back = x.shape.map((dimension, axis) => (typeof dimension === 'number' ? dimension : axis < 2 ? 0 : -1));
    return [graph.node1('Reshape', [dy!, graph.integers(back)], x.shape, { cheap: true })];
  });
  return y;
}
