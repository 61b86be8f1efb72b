/** Gradients of ternary layers in 16-bit fixed point: two digits of a byte each. */
import type { Dimension, Graph, Value } from '../graph.ts';
import { asRows, microsoft, multiply } from './basic.ts';

/**
 * The form of the outputs' gradient from which a BitLinear's gradients are computed: float32, or 16-bit fixed point. In fixed point all products
 * are of bytes, which processors with integer dot products multiply several times as fast; see `fixedPointGradients`.
 */
export type GradientArithmetic = 'float32' | 'int16';

/**
 * Activations for a backward pass in 16-bit fixed point (docs/method.md, 2.4): the integers and scales of `QuantisedActivation` where a token's
 * scale is at least a 1024th of the largest one in the micro-batch. For all others the scale is that 1024th, and the integers are rounded on it.
 */
export interface SignedActivation {
  /** `round(x / scale)` as int8, `[B, T, K]`. */
  readonly values: Value;
  /** `[B, T, 1]`. */
  readonly scale: Value;
}

/** Largest scale of a token in a micro-batch over the smallest one that its fixed-point gradients tell from zero. */
const scaleRange = 1024;

/** Makes a `SignedActivation` of x `[B, T, K]`; `inverse` and `scale` are those of its quantisation. */
export function signedActivation(graph: Graph, x: Value, inverse: Value, scale: Value): SignedActivation {
  const extreme = (operator: 'ReduceMax' | 'ReduceMin', value: Value): Value =>
    graph.node1(operator, [value, graph.integers([0, 1, 2])], [1, 1, 1]);
  const largest = multiply(graph, extreme('ReduceMin', inverse), graph.constant(scaleRange));
  const smallest = multiply(graph, extreme('ReduceMax', scale), graph.constant(1 / scaleRange));
  const scaled = multiply(graph, x, graph.node1('Min', [inverse, largest], inverse.shape));
  const grid = [graph.constant(1), graph.byte(0, 'int8')];
  return {
    values: graph.node1('QuantizeLinear', [scaled, ...grid], x.shape, { type: 'int8' }),
    scale: graph.node1('Max', [scale, smallest], scale.shape),
  };
}

/** `z ~ high + low`, two uint8 digits on grids of their own, each for the whole tensor: steps of about `(max z - min z) / 65025`. */
function twoDigits(graph: Graph, z: Value): [bytes: Value, scale: Value, zero: Value][] {
  const digit = (value: Value): [Value, Value, Value] =>
    graph.node('DynamicQuantizeLinear', [value], [value.shape, [], []], { type: ['uint8', 'float32', 'uint8'] }) as [
      Value,
      Value,
      Value,
    ];
  const high = digit(z);
  const rest = graph.node1('Sub', [z, graph.node1('DequantizeLinear', high, z.shape)], z.shape);
  return [high, digit(rest)];
}

/**
 * Gradients of a BitLinear's input and weight from z = dy * s in two digits: dx = (z T) * (delta / s), dW = z^T xi. The products of bytes are exact
 * (int32) up to 65 536 tokens in a micro-batch; needs `exactByteProducts` of the processor.
 */
export function fixedPointGradients(
  graph: Graph,
  x: SignedActivation,
  weight: { readonly values: Value; readonly delta: Value },
  dy: Value,
): [Value, Value] {
  const one = graph.constant(1);
  const [outputs] = weight.values.shape;
  const ternary = graph.node1('QuantizeLinear', [weight.values, one, graph.byte(0, 'int8')], weight.values.shape, {
    type: 'int8',
  });
  const digits = twoDigits(graph, multiply(graph, dy, x.scale));
  const sum = (product: (bytes: Value) => [Value, Value], shape: readonly Dimension[]): Value => {
    const [high, low] = digits.map(([bytes, scale, zero]) =>
      graph.node1('MatMulIntegerToFloat', [...product(bytes), scale, one, zero], shape, { domain: microsoft }),
    ) as [Value, Value];
    return graph.node1('Add', [high, low], shape);
  };
  const turned = (bytes: Value): Value => {
    const rows = asRows(graph, bytes);
    return graph.node1('Transpose', [rows], [outputs!, rows.shape[0]!], {
      attributes: { perm: { ints: [1, 0] } },
      type: 'uint8',
    });
  };
  const dx = sum((bytes) => [bytes, ternary], x.values.shape);
  const dWeight = sum((bytes) => [turned(bytes), asRows(graph, x.values)], weight.values.shape);
  const perToken = graph.node1('Div', [weight.delta, x.scale], x.scale.shape);
  return [multiply(graph, dx, perToken), dWeight];
}
