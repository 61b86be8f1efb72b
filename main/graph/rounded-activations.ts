/**
 * How other programs round activations before a product, for looking at a model through their arithmetic. Forward only: no gradient.
 * Sources: ggml's `quantize_row_q8_K_ref` and `quantize_row_q8_0` (int8 in blocks of 256 and of 32), `ggml_cpu_fp32_to_fp16`.
 */
import type { Graph, Value } from './graph.ts';
import { microsoft } from './operations/basic.ts';

/** `blocks-256`: int8, a float32 scale per block; `blocks-32`: int8, a float16 scale; `float16`; `none`: as they are. */
export type ActivationRounding = 'blocks-256' | 'blocks-32' | 'float16' | 'none';

/** 1.5 * 2^23: adding and subtracting it rounds float32 half to even for |x| < 2^22. */
const roundingConstant = 12582912;

/** ONNX element types. */
const float16 = 10;
const float32 = 1;

function throughFloat16(graph: Graph, x: Value): Value {
  const half = graph.node1('Cast', [x], x.shape, { attributes: { to: { int: float16 } } });
  return graph.node1('Cast', [half], x.shape, { attributes: { to: { int: float32 } } });
}

/** x `[..., K]` as the product will see it; where K is no multiple of the block, zeros fill up the last one, as in a padded file. */
export function roundActivations(graph: Graph, x: Value, rounding: ActivationRounding): Value {
  if (rounding === 'none') return x;
  if (rounding === 'float16') return throughFloat16(graph, x);
  const size = rounding === 'blocks-256' ? 256 : 32;
  const width = x.shape.at(-1);
  if (typeof width !== 'number') throw new RangeError(`${String(width)} is no width`);
  const missing = (size - (width % size)) % size;
  const whole = missing === 0 ? x : zerosAfter(graph, x, width, missing);
  const shape = ['blocks', size];
  const perBlock = ['blocks', 1];
  const blocks = graph.node1('Reshape', [whole, graph.integers([-1, size])], shape);
  const largest = graph.node1('ReduceMax', [graph.node1('Abs', [blocks], shape), graph.integers([-1])], perBlock);
  const bound = graph.node1('Max', [largest, graph.constant(1e-30)], perBlock);
  const inverse = graph.node1('Div', [graph.constant(127), bound], perBlock);
  const exactScale = graph.node1('Div', [largest, graph.constant(127)], perBlock);
  const scale = rounding === 'blocks-32' ? throughFloat16(graph, exactScale) : exactScale;
  const scaled = graph.node1('Mul', [blocks, inverse], shape);
  const shifted = graph.node1('Add', [scaled, graph.constant(roundingConstant)], shape);
  const integers = graph.node1('Sub', [shifted, graph.constant(roundingConstant)], shape);
  const rounded = graph.node1('Mul', [integers, scale], shape);
  const back = graph.node1('Reshape', [rounded, graph.node1('Shape', [whole], [x.shape.length])], whole.shape);
  if (missing === 0) return back;
  return graph.node1('Slice', [back, graph.integers([0]), graph.integers([width]), graph.integers([-1])], x.shape);
}

/** Beyond it ggml's GELU is the identity, or 0. */
const largestInTable = 10;

/**
 * GeGLU as ggml computes it (`ggml_vec_geglu_f32`): between -10 and 10 gelu is looked up in a table from float16 to float16. Half a thousandth of a value
 * decides about many a rounding to int8 after it.
 */
export function tabulatedGeGlu(graph: Graph, gate: Value, up: Value): Value {
  const node = (operator: string, inputs: Value[]): Value => graph.node1(operator, inputs, gate.shape);
  const least = node('Max', [gate, graph.constant(-largestInTable)]);
  const inside = node('Min', [least, graph.constant(largestInTable)]);
  const gelu = graph.node1('FastGelu', [throughFloat16(graph, inside)], gate.shape, { domain: microsoft });
  const beyond = node('Sub', [least, inside]);
  return node('Mul', [node('Add', [throughFloat16(graph, gelu), beyond]), up]);
}

function zerosAfter(graph: Graph, x: Value, width: number, count: number): Value {
  const before = new Array<number>(2 * x.shape.length - 1).fill(0);
  return graph.node1('Pad', [x, graph.integers([...before, count])], [...x.shape.slice(0, -1), width + count]);
}
