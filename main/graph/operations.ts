/**
 * The operations of decoder language models with hand-written gradients, on activations `[B, T, width]`.
 * The recipes (which ONNX operator is fast and exact for what) were measured; docs/architecture.md, "Engine".
 */
import { type Dimension, type Graph, multiplyDimensions, type Value } from './graph.ts';

const microsoft = 'com.microsoft';

function lastOf(value: Value): Dimension {
  return value.shape.at(-1)!;
}

function withLast(value: Value, last: Dimension): Dimension[] {
  return [...value.shape.slice(0, -1), last];
}

/** `[B, T, W]` as `[B*T, W]`. */
function asRows(graph: Graph, value: Value): Value {
  const width = lastOf(value);
  if (typeof width !== 'number') throw new Error(`rows of ${value.name}: the width must be a number`);
  const rows = value.shape.slice(0, -1).reduce(multiplyDimensions);
  return graph.node1('Reshape', [value, graph.integers([-1, width])], [rows, width], { cheap: true, type: value.type });
}

interface MatMulOptions {
  transposeA?: boolean;
  transposeB?: boolean;
  alpha?: number;
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
    attributes: {
      transA: { int: options.transposeA ? 1 : 0 },
      transB: { int: options.transposeB ? 1 : 0 },
      alpha: { float: options.alpha ?? 1 },
    },
  });
}

function multiply(graph: Graph, a: Value, b: Value, cheap = true): Value {
  const shape = a.shape.length >= b.shape.length ? a.shape : b.shape;
  return graph.node1('Mul', [a, b], shape, { cheap });
}

/** Sum of a and b, both of one shape. */
export function add(graph: Graph, a: Value, b: Value): Value {
  const sum = graph.node1('Add', [a, b], a.shape);
  graph.record([a, b], [sum], ([dSum]) => [dSum!, dSum!]);
  return sum;
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

/**
 * Activations for a backward pass in 16-bit fixed point (docs/method.md, 2.4): the integers and scales of `QuantisedActivation` where a token's
 * scale is at least a 1024th of the largest one in the micro-batch. For all others the scale is that 1024th, and the integers are rounded on it.
 */
interface SignedActivation {
  /** `round(x / scale)` as int8, `[B, T, K]`. */
  readonly values: Value;
  /** `[B, T, 1]`. */
  readonly scale: Value;
}

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

/** Largest scale of a token in a micro-batch over the smallest one that its fixed-point gradients tell from zero. */
const scaleRange = 1024;

function signedActivation(graph: Graph, x: Value, inverse: Value, scale: Value): SignedActivation {
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

/** A ternary matrix: values in {-1, 0, 1} as float32 `[O, K]` and the scale that a +1 stands for, `[1]`. */
export interface TernaryWeight {
  readonly values: Value;
  /** The values as int8 `[K, O]`, for the product in the forward pass; null: computed in float32, as values between ternary ones need. */
  readonly transposed: Value | null;
  readonly delta: Value;
}

/**
 * The form of the outputs' gradient from which a BitLinear's gradients are computed: float32, or 16-bit fixed point. In fixed point all products
 * are of bytes, which processors with integer dot products multiply several times as fast; see `fixedPointGradients`.
 */
export type GradientArithmetic = 'float32' | 'int16';

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
function fixedPointGradients(graph: Graph, x: SignedActivation, weight: TernaryWeight, dy: Value): [Value, Value] {
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

/**
 * BitLinear: y = (xi T^T) * (s * delta). The product of whole numbers stays below 2^24: exact in int8 and in float32 alike, in any order.
 * The gradient of the latent weight (straight-through) is reported as the gradient of `weight.values`.
 */
export function ternaryLinear(graph: Graph, x: QuantisedActivation, weight: TernaryWeight): Value {
  const [outputs] = weight.values.shape;
  const shape = withLast(x.integers, outputs!);
  const one = graph.constant(1);
  const product = weight.transposed
    ? graph.node1('MatMulIntegerToFloat', [x.packed, weight.transposed, one, one, graph.byte(zeroPoint)], shape, {
        domain: microsoft,
      })
    : matmul(graph, x.integers, weight.values, shape, { transposeB: true });
  const y = multiply(graph, product, multiply(graph, x.scale, weight.delta), false);
  graph.record([x.source, weight.values], [y], ([dy]) =>
    x.signed
      ? fixedPointGradients(graph, x.signed, weight, dy!)
      : [
          multiply(graph, matmul(graph, dy!, weight.values, x.source.shape), weight.delta),
          matmul(graph, asRows(graph, multiply(graph, dy!, x.scale)), asRows(graph, x.integers), weight.values.shape, {
            transposeA: true,
          }),
        ],
  );
  return y;
}

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

/** Reshape by ONNX rules (0 keeps a dimension, -1 infers one). */
export function reshape(graph: Graph, x: Value, to: readonly number[], shape: readonly Dimension[]): Value {
  const y = graph.node1('Reshape', [x, graph.integers(to)], shape, { cheap: true });
  graph.record([x], [y], ([dy]) => {
    const back = x.shape.map((dimension, axis) => (typeof dimension === 'number' ? dimension : axis < 2 ? 0 : -1));
    return [graph.node1('Reshape', [dy!, graph.integers(back)], x.shape, { cheap: true })];
  });
  return y;
}

/** Tables of the rotary embedding: cos and sin `[positions, D/2]`. */
export interface RotaryTables {
  readonly cos: Value;
  readonly sin: Value;
}

/** Rotary position embedding in the half-split (NEOX) layout of Hugging Face; x `[B, T, H*D]`, position = index. */
export function rotary(graph: Graph, x: Value, tables: RotaryTables): Value {
  const apply = (input: Value, sin: Value): Value =>
    graph.node1('RotaryEmbedding', [input, graph.integers([0]), tables.cos, sin], input.shape, { domain: microsoft });
  const y = apply(x, tables.sin);
  graph.record([x], [y], ([dy]) => [apply(dy!, graph.node1('Neg', [tables.sin], tables.sin.shape, { cheap: true }))]);
  return y;
}

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

/**
 * Grouped-query attention with an additive mask: q `[B, T, H*D]`, k and v `[B, T, Hk*D]`, mask `[T, T]` -> `[B, T, H*D]`.
 * The queries of one key-value head are stacked, so keys and values are never repeated and their gradients add up by themselves.
 */
export function attention(graph: Graph, q: Value, k: Value, v: Value, mask: Value, shape: AttentionShape): Value {
  const { heads, kvHeads, headSize } = shape;
  const group = heads / kvHeads;
  const [B, T] = q.shape as [Dimension, Dimension];
  const scale = 1 / Math.sqrt(headSize);
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
  const raw = matmul(graph, q4, k4, scores, { transposeB: true, alpha: scale });
  const perHead = [B, kvHeads, group, T, T];
  const masked = graph.node1(
    'Add',
    [node('Reshape', [raw, graph.integers([0, 0, group, 0, -1])], perHead), mask],
    perHead,
  );
  const softmax = graph.node1('Softmax', [masked], perHead, { attributes: { axis: { int: -1 } } });
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
