/** BitLinear: int8 activations times ternary weights. */
import type { Graph, Value } from '../graph.ts';
import { asRows, matmul, microsoft, multiply, withLast } from './basic.ts';
import {
  fixedPointGradients,
  type GradientArithmetic,
  type SignedActivation,
  signedActivation,
} from './fixed-point.ts';

/** Activations on the int8 grid: `x ~ integers * scale`. */
export interface QuantisedActivation {
  /** Stands for the dequantised activation on the tape; never computed. */
  readonly source: Value;
  /** `round(x * 127 / gamma) + 128` as uint8, `[B, T, K]`: kept for a backward pass in float32. */
  readonly packed: Value;
  /** Kept instead of `packed` for a backward pass in fixed point; null where gradients are computed in float32. */
  readonly signed: SignedActivation | null;
  /** `round(x * 127 / gamma)`, whole numbers in float32, `[B, T, K]`. */
  readonly integers: Value;
  /** `gamma / 127` per token, `[B, T, 1]`. */
  readonly scale: Value;
}

/** Stands for 0 in packed activations. */
const zeroPoint = 128;

/**
 * Per-token absmax quantisation to int8 (docs/method.md, 2.2): gamma = max(max|x|, 1e-5). The clamp to [-128, 127] cannot
 * bind, because |x| * (127 / gamma) stays below 127.5. Straight-through estimator: the gradient passes as if identity.
 */
export function quantiseActivation(
  graph: Graph,
  x: Value,
  gradients: GradientArithmetic = 'float32',
): QuantisedActivation {
  const perToken = withLast(x, 1);
  const largest = graph.node1('ReduceMax', [graph.node1('Abs', [x], x.shape), graph.integers([-1])], perToken);
  const gamma = graph.node1('Max', [largest, graph.constant(1e-5)], perToken);
  const inverse = graph.node1('Div', [graph.constant(127), gamma], perToken);
  const scale = graph.node1('Div', [gamma, graph.constant(127)], perToken);
  // Rounds half to even.
  const grid = [graph.constant(1), graph.byte(zeroPoint)];
  const scaled = multiply(graph, x, inverse, false);
  const packed = graph.node1('QuantizeLinear', [scaled, ...grid], x.shape, { type: 'uint8' });
  const integers = graph.node1('DequantizeLinear', [packed, ...grid], x.shape, { cheap: true });
  const source: Value = { ...x, name: `${x.name}.quantised` };
  graph.record([x], [source], ([dx]) => [dx!]);
  const signed = gradients === 'int16' ? signedActivation(graph, x, inverse, scale) : null;
  return { source, packed, signed, integers, scale };
}

/** A ternary matrix: values in {-1, 0, 1} as float32 `[O, K]`, and what a +1 stands for: one scale `[1]`, one a row `[O]`, or for groups of columns `[O, G, 1]`. */
export interface TernaryWeight {
  readonly values: Value;
  /** The values as int8 `[K, O]`, for the product in the forward pass; null: computed in float32, as values between ternary ones need. */
  readonly transposed: Value | null;
  /** The pass backward reads `transposed` too, so that float32 values are needed nowhere. A card's kernels do that; ONNX Runtime multiplies no float32 by int8. */
  readonly codesAlone?: boolean;
  readonly delta: Value;
}

/** The values times their scales `[O, G, 1]`, as `[O, K]`. */
function scaledColumns(graph: Graph, { values, delta }: TernaryWeight): Value {
  const [rows, columns] = values.shape as [number, number];
  const groups = delta.shape[1] as number;
  const split = [rows, groups, columns / groups];
  const grouped = graph.node1('Reshape', [values, graph.integers(split)], split, { cheap: true });
  const scaled = multiply(graph, grouped, delta);
  return graph.node1('Reshape', [scaled, graph.integers([rows, columns])], values.shape, { cheap: true });
}

/** As `ternaryLinear`, where every group of columns has a scale: y = (xi (T delta)^T) * s in float32. */
function groupedLinear(graph: Graph, x: QuantisedActivation, weight: TernaryWeight): Value {
  const scaled = scaledColumns(graph, weight);
  const shape = withLast(x.integers, weight.values.shape[0]!);
  const y = multiply(graph, matmul(graph, x.integers, scaled, shape, { transposeB: true }), x.scale, false);
  graph.record([x.source, weight.values], [y], ([dy]) => [
    matmul(graph, dy!, scaled, x.source.shape),
    matmul(graph, asRows(graph, multiply(graph, dy!, x.scale)), asRows(graph, x.integers), weight.values.shape, {
      transposeA: true,
    }),
  ]);
  return y;
}

/**
 * BitLinear: y = (xi T^T) * (s * delta). The product of whole numbers stays below 2^24: exact in int8 and in float32 alike, in any order.
 * The gradient of the latent weight (straight-through) is reported as the gradient of `weight.values`. Gradients in fixed point need one scale for all.
 */
export function ternaryLinear(graph: Graph, x: QuantisedActivation, weight: TernaryWeight): Value {
  if (weight.delta.shape.length > 1) return groupedLinear(graph, x, weight);
  const [outputs] = weight.values.shape;
  const shape = withLast(x.integers, outputs!);
  const byRow = weight.delta.shape[0] !== 1;
  const one = graph.constant(1);
  const product = weight.transposed
    ? graph.node1('MatMulIntegerToFloat', [x.packed, weight.transposed, one, one, graph.byte(zeroPoint)], shape, {
        domain: microsoft,
      })
    : matmul(graph, x.integers, weight.values, shape, { transposeB: true });
  const scales = graph.node1('Mul', [x.scale, weight.delta], byRow ? shape : x.scale.shape, { cheap: true });
  const y = multiply(graph, product, scales, false);
  const back = (dy: Value): Value =>
    weight.codesAlone && weight.transposed
      ? matmul(graph, dy, weight.transposed, x.source.shape, { transposeB: true })
      : matmul(graph, dy, weight.values, x.source.shape);
  graph.record([x.source, weight.values], [y], ([dy]) =>
    x.signed
      ? fixedPointGradients(graph, x.signed, weight, dy!)
      : [
          byRow ? back(multiply(graph, dy!, weight.delta)) : multiply(graph, back(dy!), weight.delta),
          matmul(graph, asRows(graph, multiply(graph, dy!, x.scale)), asRows(graph, x.integers), weight.values.shape, {
            transposeA: true,
          }),
        ],
  );
  return y;
}
