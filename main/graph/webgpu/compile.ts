/**
 * Turns a program into kernels. Reshapes cost nothing; nodes that compute element by element join the kernel that makes values of as many
 * elements; what no other kernel reads is never written. Named dimensions are read when a kernel runs, so lengths of batches need no kernels of their own.
 */
import type { Bindings } from '../backend.ts';
import type { Value } from '../graph.ts';
import type { ElementType, OnnxNode } from '../onnx-format.ts';
import type { Program } from '../passes.ts';
import {
  streamedAttention,
  streamedAttentionKeys,
  streamedAttentionQueries,
  streamedAttentionRows,
} from './attention-kernels.ts';
import { broadcastIndex, Product } from './dimensions.ts';
import { helpers, isElementwise, literal, type Operand, reachingOperators, statements } from './expressions.ts';
import {
  type Body,
  byteProduct,
  type Features,
  matrixProduct,
  reduction,
  rmsNormalisation,
  softmax,
  type Source,
  type Store,
} from './kernels.ts';

export interface Kernel {
  readonly label: string;
  readonly code: string;
  /** Values in the order of their bindings, which begin at 1. */
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** Of `reads` those of which a thread reads just the element that it writes: the result may take their place. */
  readonly inPlace: ReadonlySet<string>;
  readonly groups: (bindings: Bindings) => number;
  readonly flops: (bindings: Bindings) => number;
}

export interface CompiledProgram {
  readonly kernels: readonly Kernel[];
  /** Named dimensions in the order of the uniform buffer. */
  readonly dimensions: readonly string[];
  /** Values that kernels read or write. */
  readonly values: ReadonlyMap<string, Value>;
  /** Those that the program itself holds. */
  readonly constants: ReadonlyMap<string, Uint8Array>;
}

const threads = 64;
const isBytes = (type: ElementType): boolean => type === 'uint8' || type === 'int8';

/** Reads an element of a storage buffer; bytes lie four to a word. */
function readElement(variable: string, type: ElementType, index: string): string {
  if (type === 'uint8') return `f32((${variable}[(${index}) / 4u] >> (8u * ((${index}) % 4u))) & 255u)`;
  if (type === 'int8')
    return `f32(bitcast<i32>(${variable}[(${index}) / 4u] << (24u - 8u * ((${index}) % 4u))) >> 24u)`;
  return `${variable}[${index}]`;
}

const storageType = (type: ElementType): string => (isBytes(type) ? 'u32' : type === 'float32' ? 'f32' : 'i32');

/** Replaces what is a combination of other nodes: `Gemm` is a product and a sum. */
function simplified(program: Program, values: Map<string, Value>): OnnxNode[] {
  return program.graph.nodes.flatMap((node): OnnxNode[] => {
    if (node.operator !== 'Gemm') return [node];
    const [a, b, c] = node.inputs as [string, string, string];
    const [output] = node.outputs as [string];
    const product = `${output}.product`;
    values.set(product, { ...values.get(output)!, name: product });
    return [
      { ...node, operator: 'FusedMatMul', inputs: [a, b], outputs: [product] },
      { operator: 'Add', domain: '', inputs: [product, c], outputs: [output], attributes: {} },
    ];
  });
}

class Compiler {
  readonly #program: Program;
  readonly #values = new Map<string, Value>();
  /** Where a value lies that is another one in a new shape. */
  readonly #roots = new Map<string, string>();
  readonly #literals = new Map<string, string>();
  readonly #integers = new Map<string, number[]>();
  readonly #constants = new Map<string, Uint8Array>();
  readonly #nodes: readonly OnnxNode[];
  readonly #mostBuffers: number;
  readonly #features: Features;
  readonly #dimensions: readonly string[];

  constructor(program: Program, mostBuffers: number, features: Features) {
    this.#program = program;
    this.#mostBuffers = mostBuffers;
    this.#features = features;
    for (const value of [...program.inputs, ...program.made.values()]) this.#values.set(value.name, value);
    for (const constant of program.graph.constants) {
      const { name, type, shape, bytes } = constant;
      if (type === 'float16') throw new Error(`constant ${name} is float16`);
      this.#values.set(name, { name, type, shape });
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      if (type === 'int64')
        this.#integers.set(
          name,
          Array.from({ length: bytes.length / 8 }, (_, index) => Number(view.getBigInt64(8 * index, true))),
        );
      else if (new Product(shape).isOne)
        this.#literals.set(
          name,
          type === 'float32'
            ? literal(view.getFloat32(0, true))
            : `${type === 'int8' ? view.getInt8(0) : view.getUint8(0)}.0`,
        );
      else this.#constants.set(name, bytes);
    }
    this.#nodes = this.#withoutReshapes(simplified(program, this.#values));
    const names = [...this.#values.values()].flatMap(({ shape }) => new Product(shape).names);
    this.#dimensions = [...new Set(names)].sort();
  }

  /** Leaves out nodes that change nothing but the shape, unless what they make is a result that needs a place of its own. */
  #withoutReshapes(nodes: readonly OnnxNode[]): OnnxNode[] {
    const results = new Set(this.#program.outputs.map(({ name }) => name));
    const made = new Set(nodes.flatMap(({ outputs }) => outputs));
    const kept: OnnxNode[] = [];
    for (const node of nodes) {
      const [output] = node.outputs as [string];
      if (node.operator !== 'Reshape' && node.operator !== 'Identity') {
        kept.push(node);
        continue;
      }
      const source = this.#root(node.inputs[0]!);
      if (!results.has(output)) this.#roots.set(output, source);
      // What the result is made of is written to the result's place.
      else if (made.has(source) && !results.has(source)) this.#roots.set(source, output);
      else kept.push({ ...node, operator: 'Identity' });
    }
    return kept;
  }

  #root(name: string): string {
    let root = name;
    for (let next = this.#roots.get(root); next !== undefined; next = this.#roots.get(root)) root = next;
    return root;
  }

  compile(): CompiledProgram {
    const written = new Set<string>(this.#constants.keys());
    for (const { name } of this.#program.inputs) written.add(name);
    const inMemory = (name: string): boolean =>
      name === '' || this.#literals.has(name) || this.#integers.has(name) || written.has(this.#root(name));
    const waiting = [...this.#nodes];
    const kernels: Kernel[] = [];
    while (waiting.length > 0) {
      const first = waiting.findIndex((node) => node.inputs.every(inMemory));
      if (first < 0) throw new Error(`program ${this.#program.name}: its nodes wait for each other`);
      const group = [waiting.splice(first, 1)[0]!];
      this.#join(group, waiting, inMemory);
      const needed = new Set(waiting.flatMap(({ inputs }) => inputs.map((name) => this.#root(name))));
      for (const { name } of this.#program.outputs) needed.add(name);
      kernels.push(this.#kernel(group, (name) => needed.has(name)));
      for (const node of group) for (const output of node.outputs) written.add(this.#root(output));
    }
    const used = new Set(kernels.flatMap(({ reads, writes }) => [...reads, ...writes]));
    return {
      kernels,
      dimensions: this.#dimensions,
      values: new Map([...this.#values].filter(([name]) => used.has(name))),
      constants: new Map([...this.#constants].filter(([name]) => used.has(name))),
    };
  }

  /** Moves nodes to `group` that compute element by element over as many elements, and whose inputs are there. */
  #join(group: OnnxNode[], waiting: OnnxNode[], inMemory: (name: string) => boolean): void {
    const [seed] = group as [OnnxNode];
    const key = new Product(this.#values.get(seed.outputs[0]!)!.shape).key;
    if (seed.outputs.length > 1) return;
    const made = new Set(seed.outputs.map((name) => this.#root(name)));
    const buffers = (): number => {
      const names = new Set(group.flatMap((node) => [...node.inputs, ...node.outputs].map((name) => this.#root(name))));
      return [...names].filter((name) => !this.#literals.has(name) && !this.#integers.has(name)).length;
    };
    const fits = (node: OnnxNode): boolean => {
      const output = this.#values.get(node.outputs[0]!)!;
      if (!isElementwise(node.operator) || new Product(output.shape).key !== key) return false;
      if (isBytes(output.type) && !isElementwise(seed.operator)) return false;
      return node.inputs.every((name) => {
        if (!made.has(this.#root(name))) return inMemory(name);
        return !reachingOperators.has(node.operator) && new Product(this.#values.get(name)!.shape).key === key;
      });
    };
    for (let index = 0; index < waiting.length;) {
      const node = waiting[index]!;
      if (!fits(node)) {
        index += 1;
        continue;
      }
      group.push(node);
      if (buffers() > this.#mostBuffers) {
        group.pop();
        index += 1;
        continue;
      }
      waiting.splice(index, 1);
      made.add(this.#root(node.outputs[0]!));
    }
  }

  #kernel(group: readonly OnnxNode[], needed: (name: string) => boolean): Kernel {
    const [seed] = group as [OnnxNode];
    const made = new Set(group.flatMap(({ outputs }) => outputs.map((name) => this.#root(name))));
    const variables = new Map<string, string>();
    const reads: string[] = [];
    const writes: string[] = [];
    const reaching = new Set<string>();
    const variable = (name: string, list: string[]): string => {
      let found = variables.get(name);
      if (found === undefined) {
        found = `v${variables.size}_`;
        variables.set(name, found);
        list.push(name);
      }
      return found;
    };
    /** Reads an element of an input that lies in memory. */
    const read = (name: string, index: string): string => {
      const constant = this.#literals.get(name);
      if (constant !== undefined) return constant;
      const root = this.#root(name);
      if (index !== 'i') reaching.add(root);
      return readElement(variable(root, reads), this.#values.get(root)!.type, index);
    };
    const source = (name: string): Source => ({
      value: this.#values.get(name)!,
      at: (index) => read(name, index),
      word: (index) => {
        const root = this.#root(name);
        reaching.add(root);
        return `${variable(root, reads)}[${index}]`;
      },
    });
    /** Statements for the element `i` of the group's nodes, where `locals` holds what was made already. */
    const elements = (nodes: readonly OnnxNode[], locals: Map<string, string>): string => {
      const lines: string[] = [];
      for (const node of nodes) {
        const output = this.#values.get(node.outputs[0]!)!;
        const operands = node.inputs.map((name): Operand => {
          if (name === '' || this.#integers.has(name)) return { value: output, own: '', at: () => '' };
          const value = this.#values.get(name)!;
          const local = locals.get(this.#root(name));
          const own =
            local ??
            (reachingOperators.has(node.operator) && node.operator !== 'GatherElements'
              ? read(name, 'i')
              : read(name, broadcastIndex(value.shape, output.shape, 'i')));
          return { value, own, at: (index) => read(name, index) };
        });
        const local = `e${locals.size}_`;
        lines.push(statements(node, output, operands, 'i', local));
        locals.set(this.#root(node.outputs[0]!), local);
        lines.push(this.#write(node.outputs[0]!, local, needed, (name) => variable(name, writes)));
      }
      return lines.join('\n    ');
    };

    let body: Body;
    if (isElementwise(seed.operator)) body = this.#elementwise(group, made, needed, elements);
    else {
      const store: Store = (index, value) => {
        const [output] = seed.outputs as [string];
        const locals = new Map([[this.#root(output), 'e0_']]);
        const own = this.#write(output, 'e0_', needed, (name) => variable(name, writes));
        return `let i = ${index}; let e0_ = ${value}; ${own}\n    ${elements(group.slice(1), locals)}`;
      };
      body = this.#seeded(seed, source, store, (name, index, value) =>
        needed(this.#root(name)) ? `${variable(this.#root(name), writes)}[${index}] = ${value};` : '',
      );
    }
    const declarations = [...variables].map(([name, text], index) => {
      const type = storageType(this.#values.get(name)!.type);
      const access = writes.includes(name) ? 'read_write' : 'read';
      return `@group(0) @binding(${index + 1}) var<storage, ${access}> ${text}: array<${type}>;`;
    });
    const fields = this.#dimensions.length === 0 ? ['none'] : this.#dimensions;
    const subgroups = body.code.includes('subgroup');
    const code = `${subgroups ? 'enable subgroups;\n' : ''}struct Dimensions { ${fields.map((name) => `${name}: u32`).join(', ')} }
@group(0) @binding(0) var<uniform> d: Dimensions;
${declarations.join('\n')}
${helpers}${body.prelude}
@compute @workgroup_size(${body.workgroupSize})
fn main(@builtin(workgroup_id) w: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) l: u32${subgroups ? ', @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) lanes: u32' : ''}) {
  // Every kernel binds the dimensions, whether it needs them or not.
  let group = w.x + w.y * count.x + d.${fields[0]} * 0u;
${body.code}
}
`;
    const order = [...variables.keys()];
    return {
      label: group.map(({ operator }) => operator).join(' '),
      code,
      reads: order.filter((name) => reads.includes(name)),
      writes: order.filter((name) => writes.includes(name)),
      inPlace: new Set(reads.filter((name) => !reaching.has(name))),
      groups: body.groups,
      flops: body.flops,
    };
  }

  /** The statement that writes a value which something else reads. */
  #write(name: string, value: string, needed: (name: string) => boolean, variable: (name: string) => string): string {
    const root = this.#root(name);
    if (!needed(root)) return '';
    return isBytes(this.#values.get(root)!.type)
      ? `${variable(root)}w |= (u32(i32(${value})) & 255u) << (8u * j);`
      : `${variable(root)}[i] = ${value};`;
  }

  #elementwise(
    group: readonly OnnxNode[],
    made: ReadonlySet<string>,
    needed: (name: string) => boolean,
    elements: (nodes: readonly OnnxNode[], locals: Map<string, string>) => string,
  ): Body {
    const count = new Product(this.#values.get(group[0]!.outputs[0]!)!.shape);
    const statements = elements(group, new Map());
    const bytes = [...made].some((name) => needed(name) && isBytes(this.#values.get(name)!.type));
    const each = bytes ? 4 : 1;
    // A thread that makes bytes makes four, a word.
    const words = [...new Set([...statements.matchAll(/(v\d+_)w \|=/g)].map(([, name]) => name!))];
    const code = bytes
      ? `
  let first = (group * ${threads}u + l) * 4u;
  if (first >= ${count.text}) { return; }
  ${words.map((name) => `var ${name}w = 0u;`).join(' ')}
  for (var j = 0u; j < 4u; j += 1u) {
    let i = first + j;
    if (i >= ${count.text}) { break; }
    ${statements}
  }
  ${words.map((name) => `${name}[first / 4u] = ${name}w;`).join(' ')}`
      : `
  let i = group * ${threads}u + l;
  if (i >= ${count.text}) { return; }
    ${statements}`;
    return {
      prelude: '',
      workgroupSize: threads,
      code,
      groups: (bindings) => Math.ceil(count.value(bindings) / (threads * each)),
      flops: (bindings) => count.value(bindings) * group.length,
    };
  }

  #seeded(
    node: OnnxNode,
    source: (name: string) => Source,
    store: Store,
    also: (name: string, index: string, value: string) => string,
  ): Body {
    const [a, b] = node.inputs as [string, string];
    const output = this.#values.get(node.outputs[0]!)!;
    const features = this.#features;
    /** Writes a result of several. */
    const result =
      (place: number): Store =>
      (index, value) =>
        also(node.outputs[place]!, index, value);
    switch (node.operator) {
      case 'FusedMatMul':
      case 'MatMul':
        return matrixProduct(node, source(a), source(b), output, store, features);
      case 'MatMulIntegerToFloat': {
        const zero = this.#literals.get(node.inputs[4] ?? '') ?? '0.0';
        const left = source(a);
        const inWords = features.byteProducts && zero === '128.0' ? byteProduct(left, source(b), output, store) : null;
        if (inWords) return inWords;
        return matrixProduct(
          node,
          { ...left, at: (index) => `(${left.at(index)} - ${zero})` },
          source(b),
          output,
          store,
          features,
        );
      }
      case 'ReduceSum':
      case 'ReduceSumSquare':
      case 'ReduceMax':
      case 'ReduceMin':
        return reduction(node, source(a), this.#integers.get(b)!, store, features);
      case 'Softmax':
      case 'LogSoftmax':
        return softmax(node, source(a), store, features);
      case 'SimplifiedLayerNormalization':
        return rmsNormalisation(node, source(a), source(b), result(0), result(1), features);
      case 'StreamedAttention':
        return streamedAttention(node, node.inputs.map(source), result(0), result(1));
      case 'StreamedAttentionRows':
        return streamedAttentionRows(node, node.inputs.map(source), result(0), features);
      case 'StreamedAttentionQueries':
        return streamedAttentionQueries(node, node.inputs.map(source), store);
      case 'StreamedAttentionKeys':
        return streamedAttentionKeys(node, node.inputs.map(source), result(0), result(1));
      default:
        throw new UnsupportedOperator(node.operator, this.#program.name);
    }
  }
}

/** A graphics card is not given this operator. */
export class UnsupportedOperator extends Error {
  readonly operator: string;

  constructor(operator: string, program: string) {
    super(`program ${program}: there is no kernel for ${operator}`);
    this.operator = operator;
  }
}

/** @param mostBuffers that a kernel can have */
export function compileProgram(program: Program, mostBuffers: number, features: Features): CompiledProgram {
  return new Compiler(program, mostBuffers, features).compile();
}

/** Bytes that a value takes on a card: bytes four to a word, whole numbers in 32 bits. */
export function storedBytes({ type }: Value, count: number): number {
  return isBytes(type) ? 4 * Math.ceil(count / 4) : 4 * count;
}
