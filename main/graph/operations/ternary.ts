/** BitLinear: activations of 8 or 4 bits times ternary weights. */
import type { Graph, Value } from '../graph.ts';
import { asRows, lastOf, matmul, microsoft, multiply, withLast } from './basic.ts';
import {
  fixedPointGradients,
  type GradientArithmetic,
  type SignedActivation,
  signedActivation,
} from './fixed-point.ts';

/** Activations on a grid of whole numbers: `x ~ integers * scale`. */
export interface QuantisedActivation {
  /** Stands for the dequantised activation on the tape; never computed. */
  readonly source: Value;
  /** `integers + 128` as uint8, `[B, T, K]`: kept for a backward pass in float32. */
  readonly packed: Value;
  /** Kept instead of `packed` for a backward pass in fixed point; null where gradients are computed in float32. */
  readonly signed: SignedActivation | null;
  /** `round(x / scale)`, of four bits cut off to [-8, 7]: whole numbers in float32, `[B, T, K]`. */
  readonly integers: Value;
  /** Per token, `[B, T, 1]`. */
  readonly scale: Value;
}

/** Stands for 0 in packed activations. */
const zeroPoint = 128;

/** What a 1 stands for per token, and its inverse; x `[B, T, K]`. */
function tokenScales(graph: Graph, x: Value, bits: 8 | 4): { readonly inverse: Value; readonly scale: Value } {
  const perToken = withLast(x, 1);
  const sizes = graph.node1('Abs', [x], x.shape);
  const axis = graph.integers([-1]);
  const size =
    bits === 8
      ? graph.node1('ReduceMax', [sizes, axis], perToken)
      : multiply(graph, graph.node1('ReduceSum', [sizes, axis], perToken), graph.constant(1 / (lastOf(x) as number)));
  const gamma = graph.node1('Max', [size, graph.constant(1e-5)], perToken);
  const units = graph.constant(bits === 8 ? 127 : Math.sqrt(7));
  return {
    inverse: graph.node1('Div', [units, gamma], perToken),
    scale: graph.node1('Div', [gamma, units], perToken),
  };
}

/**
 * Quantisation of each token. To 8 bits by its largest value (docs/method.md, 2.2): gamma = max(max|x|, 1e-5), and the clamp to [-128, 127] cannot
 * bind, because |x| * (127 / gamma) stays below 127.5. To 4 bits by the mean of its sizes (2.9): beta = max(mean|x|, 1e-5), integers round(x sqrt(7) / beta) cut off
 * to [-8, 7]. Straight-through estimator: the gradient passes as if identity, where it cuts off too.
 * @param gradients `int16` for 8 bits alone
 */
export function quantiseActivation(
  graph: Graph,
  x: Value,
  gradients: GradientArithmetic = 'float32',
  bits: 8 | 4 = 8,
): QuantisedActivation {
  if (bits === 4 && gradients === 'int16') throw new Error('gradients in fixed point need 8 bits');
  const { inverse, scale } = tokenScales(graph, x, bits);
  // Rounds half to even.
  const grid = [graph.constant(1), graph.byte(zeroPoint)];
  let scaled = multiply(graph, x, inverse, false);
  if (bits === 4)
    for (const [operator, end] of [
      ['Min', 7],
      ['Max', -8],
    ] as const)
      scaled = graph.node1(operator, [scaled, graph.constant(end)], x.shape);
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
