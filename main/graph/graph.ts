/**
 * Graph builder with a tape. Operations (operations.ts) add ONNX nodes and record how their gradient is formed;
 * differentiate.ts walks the tape backwards; passes.ts cuts the result into a forward and a backward session.
 */
import type { Attribute, ElementType, OnnxConstant, OnnxNode } from './onnx-format.ts';

/** A number, or a product of named dimensions and numbers such as `B`, `T`, `B*T`, `2*T`. */
export type Dimension = number | string;

export interface Value {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly Dimension[];
}

export interface GraphNode extends OnnxNode {
  /** Cheaper to compute again in the backward pass than to keep. */
  readonly cheap: boolean;
  readonly values: readonly Value[];
}

/** Gradients of the inputs, given those of the outputs; `null` where none flows. */
export type Pullback = (outputGradients: readonly (Value | null)[]) => readonly (Value | null)[];

interface TapeEntry {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly pullback: Pullback;
}

export interface NodeOptions {
  readonly domain?: 'com.microsoft';
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly cheap?: boolean;
  /** Element type of the outputs, or of each; absent: float32. */
  readonly type?: ElementType | readonly ElementType[];
}

/** The value of a dimension when the named ones are bound, such as `evaluateDimension('2*T', { T: 8 }) === 16`. */
export function evaluateDimension(dimension: Dimension, bindings: Readonly<Record<string, number>>): number {
  if (typeof dimension === 'number') return dimension;
  return dimension.split('*').reduce((product, factor) => {
    const bound = /^\d+$/.test(factor) ? Number(factor) : bindings[factor];
    if (bound === undefined) throw new RangeError(`dimension ${factor} of ${dimension} is not bound`);
    return product * bound;
  }, 1);
}

/** Product of two dimensions. */
export function multiplyDimensions(a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  return `${a}*${b}`;
}

export interface GraphOptions {
  /** Attention is made of nodes that never have the scores of a whole row in memory; a backend must have kernels for them, and ONNX Runtime has none. */
  readonly streamsAttention?: boolean;
}

export class Graph {
  readonly name: string;
  readonly streamsAttention: boolean;
  readonly nodes: GraphNode[] = [];
  readonly inputs = new Map<string, Value>();
  readonly constants = new Map<string, OnnxConstant>();
  readonly tape: TapeEntry[] = [];
  #counter = 0;

  constructor(name: string, { streamsAttention = false }: GraphOptions = {}) {
    this.name = name;
    this.streamsAttention = streamsAttention;
  }

  input(name: string, shape: readonly Dimension[], type: ElementType = 'float32'): Value {
    if (this.inputs.has(name)) throw new Error(`graph ${this.name} already has an input ${name}`);
    const value: Value = { name, type, shape };
    this.inputs.set(name, value);
    return value;
  }

  /** A float32 constant; equal ones are stored once. */
  constant(values: number | readonly number[], shape: readonly number[] = []): Value {
    const data = new Float32Array(typeof values === 'number' ? [values] : values);
    return this.#addConstant('float32', shape, new Uint8Array(data.buffer), `${[...data].join(',')}`);
  }

  /** A constant of one byte without dimensions, such as a zero point. */
  byte(value: number, type: 'uint8' | 'int8' = 'uint8'): Value {
    return this.#addConstant(type, [], new Uint8Array([value]), `${value}`);
  }

  /** A one-dimensional int64 constant: shapes and axes. */
  integers(values: readonly number[]): Value {
    const data = new BigInt64Array(values.map(BigInt));
    return this.#addConstant('int64', [values.length], new Uint8Array(data.buffer), values.join(','));
  }

  #addConstant(type: ElementType, shape: readonly number[], bytes: Uint8Array, key: string): Value {
    const name = `const:${type}[${shape.join(',')}]:${key}`;
    if (!this.constants.has(name)) this.constants.set(name, { name, type, shape, bytes });
    return { name, type, shape };
  }

  /** Adds one node with the given output shapes. */
  node(
    operator: string,
    inputs: readonly Value[],
    outputShapes: readonly (readonly Dimension[])[],
    options: NodeOptions = {},
  ): Value[] {
    const { type = 'float32' } = options;
    const values = outputShapes.map((shape, index): Value => {
      this.#counter += 1;
      return { name: `${operator}_${this.#counter}`, type: typeof type === 'string' ? type : type[index]!, shape };
    });
    this.nodes.push({
      operator,
      domain: options.domain ?? '',
      inputs: inputs.map((value) => value.name),
      outputs: values.map((value) => value.name),
      attributes: options.attributes ?? {},
      cheap: options.cheap ?? false,
      values,
    });
    return values;
  }

  /** `node` for operators with one output. */
  node1(operator: string, inputs: readonly Value[], shape: readonly Dimension[], options: NodeOptions = {}): Value {
    return this.node(operator, inputs, [shape], options)[0]!;
  }

  /** Says how gradients pass from `outputs` to `inputs`. */
  record(inputs: readonly Value[], outputs: readonly Value[], pullback: Pullback): void {
    this.tape.push({ inputs, outputs, pullback });
  }
}
