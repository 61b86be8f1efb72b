/**
 * Programs whose large matrix products run in the addon, with factors rounded to bfloat16 and sums in float32 (docs/architecture.md, "Engine"). A program is cut
 * at them: first runs a piece of what needs no such product, then the products that have their factors, then the next piece.
 */
import { native, type ProductShape } from '../../native/index.ts';
import {
  type Bindings,
  type ElementBuffer,
  elementCount,
  type EngineOptions,
  exactBuffer,
  type Session,
  shapeOf,
} from './backend.ts';
import type { Dimension, Value } from './graph.ts';
import type { OnnxNode } from './onnx-format.ts';
import type { Program } from './passes.ts';

/** Products narrower than this on any side (sums over tokens, a handful of features) stay in the graph. */
const narrowest = 16;

interface Product {
  /** Values whose elements, in their order, are the factors. */
  readonly a: Value;
  readonly b: Value;
  readonly out: Value;
  /** The factors as matrices, before they are turned; leading dimensions of the first are its rows. */
  readonly aShape: readonly Dimension[];
  readonly bShape: readonly Dimension[];
  readonly turnedA: boolean;
  readonly turnedB: boolean;
}

/** What runs between two rounds of products. */
interface Piece {
  readonly session: Session | null;
  /** Products whose factors are there once the session has run. */
  readonly products: readonly Product[];
}

/** Where each of a program's values comes from. */
class Sources {
  readonly #values: ReadonlyMap<string, Value>;
  readonly #producers = new Map<string, OnnxNode>();

  constructor({ graph, made, inputs }: Program) {
    this.#values = new Map([...inputs.map((value) => [value.name, value] as const), ...made]);
    for (const node of graph.nodes) for (const output of node.outputs) this.#producers.set(output, node);
  }

  /** Undefined for constants. */
  value(name: string): Value | undefined {
    return this.#values.get(name);
  }

  /** The value that another one is a reshaping of: the same elements in the same order. */
  unshaped(name: string): Value {
    const producer = this.#producers.get(name);
    return producer?.operator === 'Reshape' ? this.unshaped(producer.inputs[0]!) : this.#values.get(name)!;
  }
}

/** Values that a node takes; a product reaches through reshapings to its factors. */
const takenBy = (node: OnnxNode, products: ReadonlyMap<OnnxNode, Product>): readonly string[] => {
  const product = products.get(node);
  return product ? [product.a.name, product.b.name] : node.inputs;
};

const isWide = (dimension: Dimension): boolean => typeof dimension === 'string' || dimension >= narrowest;

/** A node as a product of two matrices; null where it is none, or too narrow. */
function productOf(node: OnnxNode, sources: Sources): Product | null {
  if (node.operator !== 'FusedMatMul') return null;
  const [a, b] = node.inputs.map((name) => sources.value(name));
  const out = sources.value(node.outputs[0]!);
  const { transA, transB, alpha } = node.attributes as Record<string, { int?: number; float?: number }>;
  const turnedA = transA?.int === 1;
  const turnedB = transB?.int === 1;
  if (!a || !b || !out || alpha?.float !== 1 || b.shape.length !== 2) return null;
  if (a.shape.length !== 2 && turnedA) return null;
  const inner = turnedA ? a.shape[0]! : a.shape.at(-1)!;
  const rows = turnedA ? a.shape.slice(1) : a.shape.slice(0, -1);
  if (![inner, ...b.shape].every(isWide) || (rows.length === 1 && !isWide(rows[0]!))) return null;
  const [aSource, bSource] = [sources.unshaped(a.name), sources.unshaped(b.name)];
  return { a: aSource, b: bSource, out, aShape: a.shape, bShape: b.shape, turnedA, turnedB };
}

/** Rounds of products that must be done before a node can run, or before a value is there. */
function depths(program: Program, products: ReadonlyMap<OnnxNode, Product>): Map<OnnxNode, number> {
  const ofValue = new Map<string, number>();
  const ofNode = new Map<OnnxNode, number>();
  const latest = (names: readonly string[]): number => Math.max(0, ...names.map((name) => ofValue.get(name) ?? 0));
  for (const node of program.graph.nodes) {
    const depth = latest(takenBy(node, products));
    ofNode.set(node, depth);
    for (const output of node.outputs) ofValue.set(output, depth + (products.has(node) ? 1 : 0));
  }
  return ofNode;
}

/** Puts off nodes that need nothing but the program's inputs to the piece that first uses them, so that less lives between pieces. */
function putOff({ graph }: Program, products: ReadonlyMap<OnnxNode, Product>, depth: Map<OnnxNode, number>): void {
  const firstUse = new Map<string, number>();
  const results = new Set(graph.outputs.map(({ name }) => name));
  for (const node of graph.nodes.toReversed()) {
    if (!products.has(node) && depth.get(node) === 0 && !node.outputs.some((output) => results.has(output))) {
      const use = Math.min(...node.outputs.map((output) => firstUse.get(output) ?? Infinity));
      if (use < Infinity) depth.set(node, use);
    }
    for (const name of takenBy(node, products))
      firstUse.set(name, Math.min(depth.get(node)!, firstUse.get(name) ?? Infinity));
  }
}

/** A program with some nodes of another one, which hands out `outputs`. */
function pieceOf(
  whole: Program,
  index: number,
  nodes: readonly OnnxNode[],
  outputs: readonly Value[],
  sources: Sources,
): Program {
  const own = new Set(nodes.flatMap((node) => node.outputs));
  const entering = new Set(nodes.flatMap((node) => node.inputs).filter((name) => name !== '' && !own.has(name)));
  const inputs = [...entering].flatMap((name) => sources.value(name) ?? []);
  const constants = whole.graph.constants.filter(({ name }) => entering.has(name));
  const name = `${whole.name}.${index}`;
  return { name, graph: { name, nodes, inputs, outputs, constants }, made: whole.made, inputs, outputs };
}

/** @param create makes the pieces between the products ready */
export async function sessionInPieces(
  program: Program,
  options: EngineOptions,
  create: (piece: Program, options: EngineOptions) => Promise<Session>,
): Promise<Session> {
  const sources = new Sources(program);
  const products = new Map<OnnxNode, Product>();
  for (const node of program.graph.nodes) {
    const product = productOf(node, sources);
    if (product) products.set(node, product);
  }
  if (products.size === 0) return create(program, options);
  const depth = depths(program, products);
  putOff(program, products, depth);
  const needed = neededNodes(program, products);
  const count = 1 + Math.max(...depth.values());
  const results = new Set(program.outputs.map(({ name }) => name));
  const pieces: Piece[] = [];
  for (let index = 0; index < count; index += 1) {
    const ofDepth = program.graph.nodes.filter((node) => depth.get(node) === index && needed.has(node));
    const nodes = ofDepth.filter((node) => !products.has(node));
    const own = new Set(nodes);
    // What products, later pieces or the caller take.
    const taken = new Set([...needed].flatMap((node) => (own.has(node) ? [] : takenBy(node, products))));
    const outputs = nodes.flatMap((node) =>
      node.outputs.flatMap((name) => (taken.has(name) || results.has(name) ? (sources.value(name) ?? []) : [])),
    );
    pieces.push({
      session: outputs.length === 0 ? null : await create(pieceOf(program, index, nodes, outputs, sources), options),
      products: ofDepth.flatMap((node) => products.get(node) ?? []),
    });
  }
  return new SessionInPieces(program, pieces);
}

/** Nodes that results depend on when products reach through reshapings. */
function neededNodes({ graph, outputs }: Program, products: ReadonlyMap<OnnxNode, Product>): Set<OnnxNode> {
  const wanted = new Set(outputs.map(({ name }) => name));
  const needed = new Set<OnnxNode>();
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => wanted.has(output))) continue;
    needed.add(node);
    for (const name of takenBy(node, products)) wanted.add(name);
  }
  return needed;
}

class SessionInPieces implements Session {
  readonly program: Program;
  readonly #pieces: readonly Piece[];
  /** Values that a product or a later piece takes. */
  readonly #taken: ReadonlySet<string>;
  /** Values between pieces, used again in each run. */
  readonly #between = new Map<string, ElementBuffer>();

  constructor(program: Program, pieces: readonly Piece[]) {
    this.program = program;
    this.#pieces = pieces;
    this.#taken = new Set(
      pieces.flatMap(({ session, products }) => [
        ...(session?.program.inputs.map(({ name }) => name) ?? []),
        ...products.flatMap(({ a, b }) => [a.name, b.name]),
      ]),
    );
  }

  async run(
    bindings: Bindings,
    feeds: Readonly<Record<string, ElementBuffer>>,
    results: Readonly<Record<string, ElementBuffer>>,
  ): Promise<void> {
    const values: Record<string, ElementBuffer> = { ...feeds };
    const outputs = new Set(this.program.outputs.map(({ name }) => name));
    /** Where a value goes; undefined where nobody wants it. */
    const target = (value: Value): ElementBuffer | undefined => {
      const wanted = outputs.has(value.name) ? results[value.name] : undefined;
      if (wanted) return exactBuffer(this.program, value, wanted, bindings);
      return this.#taken.has(value.name) ? this.#buffer(value, bindings) : undefined;
    };
    for (const { session, products } of this.#pieces) {
      if (session) {
        const found: Record<string, ElementBuffer> = {};
        for (const value of session.program.outputs) {
          const buffer = target(value);
          if (buffer) found[value.name] = buffer;
        }
        await session.run(bindings, values, found);
        Object.assign(values, found);
      }
      for (const product of products) {
        const out = target(product.out);
        if (!out) continue;
        this.#multiply(product, bindings, values, out as Float32Array);
        values[product.out.name] = out;
      }
    }
  }

  #buffer(value: Value, bindings: Bindings): ElementBuffer {
    const count = elementCount(value, bindings);
    const earlier = this.#between.get(value.name);
    if (earlier && earlier.length >= count) return earlier.subarray(0, count);
    const made = {
      float32: Float32Array,
      int32: Int32Array,
      int64: BigInt64Array,
      uint8: Uint8Array,
      int8: Int8Array,
    };
    const buffer = new made[value.type](count);
    this.#between.set(value.name, buffer);
    return buffer;
  }

  #multiply(
    { a, b, aShape, bShape, turnedA, turnedB }: Product,
    bindings: Bindings,
    values: Readonly<Record<string, ElementBuffer>>,
    out: Float32Array,
  ): void {
    const factor = (value: Value): Float32Array =>
      exactBuffer(this.program, value, values[value.name], bindings) as Float32Array;
    const left = shapeOf({ ...a, shape: aShape }, bindings);
    const right = shapeOf({ ...b, shape: bShape }, bindings);
    const inner = turnedA ? left[0]! : left.at(-1)!;
    const shape: ProductShape = {
      rows: elementCount({ ...a, shape: aShape }, bindings) / inner,
      columns: turnedB ? right[0]! : right[1]!,
      inner,
      turnedA,
      turnedB,
    };
    native.multiplyRounded(factor(a), factor(b), out, shape);
  }

  async release(): Promise<void> {
    for (const { session } of this.#pieces) await session?.release();
  }
}
