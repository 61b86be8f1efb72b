/** Operators whose every output element is a formula of a few input elements: what a kernel writes for one element. */
import type { Dimension, Value } from '../graph.ts';
import type { Attribute, OnnxNode } from '../onnx-format.ts';
import { Product } from './dimensions.ts';

/** Reads an input of a node. */
export interface Operand {
  readonly value: Value;
  /** The element that belongs to the output's element. */
  readonly own: string;
  /** The element at another place. */
  at(index: string): string;
}

const binary = (symbol: string) => (a: string, b: string) => `(${a} ${symbol} ${b})`;
const called = (name: string) => (a: string, b: string) => `${name}(${a}, ${b})`;

const twoOperands: Readonly<Record<string, (a: string, b: string) => string>> = {
  Add: binary('+'),
  Sub: binary('-'),
  Mul: binary('*'),
  Div: binary('/'),
  Max: called('max'),
  Min: called('min'),
  Sum: binary('+'),
};

/** Large arguments overflow in the drivers' own tanh. */
const tanh = (x: string): string => `tanh(clamp(${x}, -15.0, 15.0))`;
const sigmoid = (x: string): string => `(1.0 / (1.0 + exp(-(${x}))))`;

const floatOf = (attribute: Attribute | undefined, otherwise: number): number =>
  attribute && 'float' in attribute ? attribute.float : otherwise;
export const intOf = (attribute: Attribute | undefined, otherwise: number): number =>
  attribute && 'int' in attribute ? attribute.int : otherwise;

/** A float32 as a literal that loses nothing. */
export function literal(value: number): string {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0]!;
  return `bitcast<f32>(0x${bits.toString(16)}u)`;
}

const oneOperand: Readonly<Record<string, (x: string, node: OnnxNode) => string>> = {
  Identity: (x) => x,
  Neg: (x) => `(-${x})`,
  Abs: (x) => `abs(${x})`,
  Sqrt: (x) => `sqrt(${x})`,
  Relu: (x) => `max(${x}, 0.0)`,
  Exp: (x) => `exp(${x})`,
  Sigmoid: sigmoid,
  Tanh: tanh,
  QuickGelu: (x, { attributes }) => `(${x} * ${sigmoid(`${literal(floatOf(attributes['alpha'], 1.702))} * ${x}`)})`,
  FastGelu: (x) =>
    `(0.5 * ${x} * (1.0 + ${tanh(`${x} * (${literal(Math.sqrt(2 / Math.PI))} + ${literal(Math.sqrt(2 / Math.PI) * 0.044715)} * ${x} * ${x})`)}))`,
};

/** Operators that read elements at other places than the output's own: their inputs lie in memory. */
export const reachingOperators: ReadonlySet<string> = new Set([
  'RotaryEmbedding',
  'Transpose',
  'Gather',
  'GatherElements',
  'ScatterElements',
]);

export function isElementwise(operator: string): boolean {
  return (
    operator in twoOperands ||
    operator in oneOperand ||
    operator === 'QuantizeLinear' ||
    operator === 'DequantizeLinear' ||
    reachingOperators.has(operator)
  );
}

function rotary(node: OnnxNode, output: Value, [x, , cos, sin]: readonly Operand[], at: string): string {
  const width = output.shape.at(-1) as number;
  const half = cos!.value.shape.at(-1) as number;
  const heads = intOf(node.attributes['num_heads'], 0);
  const size = heads > 0 ? width / heads : 2 * half;
  const angle = (column: string): string =>
    `(((${at} / ${width}u) % ${new Product([output.shape[1]!]).text}) * ${half}u + ${column})`;
  const column = `((${at} % ${width}u) % ${size}u)`;
  const first = `(${x!.own} * ${cos!.at(angle(column))} - ${x!.at(`${at} + ${half}u`)} * ${sin!.at(angle(column))})`;
  const back = `${column} - ${half}u`;
  const second = `(${x!.own} * ${cos!.at(angle(back))} + ${x!.at(`${at} - ${half}u`)} * ${sin!.at(angle(back))})`;
  return `rotate(${column}, ${half}u, ${x!.own}, ${first}, ${second})`;
}

/** Helps `rotary`: which of the three a column is. */
export const helpers = `
fn rotate(column: u32, pairs: u32, whole: f32, first: f32, second: f32) -> f32 {
  return select(select(whole, second, column < 2u * pairs), first, column < pairs);
}
`;

function transposed(node: OnnxNode, { shape }: Value, [x]: readonly Operand[], at: string): string {
  const perm =
    (node.attributes['perm'] as { ints: readonly number[] } | undefined)?.ints ??
    shape.map((_, axis) => shape.length - 1 - axis);
  const source: Dimension[] = [];
  perm.forEach((from, axis) => (source[from] = shape[axis]!));
  const terms = perm.map((from, axis) => {
    const coordinate = `((${at} / ${new Product(shape.slice(axis + 1)).text}) % ${new Product([shape[axis]!]).text})`;
    return `${coordinate} * ${new Product(source.slice(from + 1)).text}`;
  });
  return x!.at(terms.join(' + '));
}

/** The value of the output's element at place `at`. */
export function expression(node: OnnxNode, output: Value, operands: readonly Operand[], at: string): string {
  const [first, second, third] = operands;
  const one = oneOperand[node.operator];
  if (one) return one(first!.own, node);
  const two = twoOperands[node.operator];
  if (two) return operands.map(({ own }) => own).reduce(two);
  switch (node.operator) {
    case 'QuantizeLinear': {
      const scaled = second!.own === literal(1) ? first!.own : `${first!.own} / ${second!.own}`;
      const [low, high] = output.type === 'int8' ? [-128, 127] : [0, 255];
      return `clamp(round(${scaled}) + ${third!.own}, ${low}.0, ${high}.0)`;
    }
    case 'DequantizeLinear':
      return `((${first!.own} - ${third!.own}) * ${second!.own})`;
    case 'RotaryEmbedding':
      return rotary(node, output, operands, at);
    case 'Transpose':
      return transposed(node, output, operands, at);
    case 'Gather': {
      const width = new Product(first!.value.shape.slice(1)).text;
      return first!.at(`u32(${second!.at(`${at} / ${width}`)}) * ${width} + ${at} % ${width}`);
    }
    case 'GatherElements': {
      const [columns, picked] = [first!.value.shape.at(-1)!, output.shape.at(-1)!];
      const row = `(${at} / ${new Product([picked]).text})`;
      return first!.at(`${row} * ${new Product([columns]).text} + u32(${second!.own})`);
    }
    default:
      throw new Error(`${node.operator} is not computed element by element`);
  }
}

/** Statements that make `local` the value of the output's element at place `at`. */
export function statements(
  node: OnnxNode,
  output: Value,
  operands: readonly Operand[],
  at: string,
  local: string,
): string {
  if (node.operator !== 'ScatterElements') return `let ${local} = ${expression(node, output, operands, at)};`;
  // Each element looks for itself among the places of its row, so that it is written once.
  const [values, indices, updates] = operands as [Operand, Operand, Operand];
  const [columns, places] = [output, indices.value].map(({ shape }) => new Product([shape.at(-1)!]).text);
  const place = `(${at} / ${columns}) * ${places} + s`;
  return `var ${local} = ${values.own};
    for (var s = 0u; s < ${places}; s += 1u) {
      if (u32(${indices.at(place)}) == ${at} % ${columns}) { ${local} = ${updates.at(place)}; }
    }`;
}
