/**
 * Every operation with small inputs: its gradients are held against finite differences, by the tests on the processor and before a card is trusted.
 */
import { native } from '../../native/index.ts';
import type { ElementBuffer } from './backend.ts';
import { differentiate } from './differentiate.ts';
import { Graph, type Value } from './graph.ts';
import {
  add,
  addBias,
  attention,
  attentionReach,
  type AttentionShape,
  geGlu,
  hadamard,
  headNorm,
  linear,
  quantiseActivation,
  reluSquaredGlu,
  replaceColumns,
  reshape,
  rmsNorm,
  rotary,
  scale,
  swiGlu,
  ternaryLinear,
  wholeRow,
} from './operations.ts';

export const bindings = { B: 2, T: 5 };

/** A repeatable stream of numbers in (-1, 1). */
export function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

export interface OperationCase {
  name: string;
  /** Absent: `bindings`. */
  sizes?: { readonly B: number; readonly T: number };
  /** Builds the operation; the returned inputs are differentiated. */
  build: (graph: Graph) => { output: Value; wanted: Value[]; fixed?: Record<string, ElementBuffer> };
}

const angles = new Float32Array(10).map((_, index) => index * 0.37);

/** Rows of `T` that see the keys of a window, themselves included. */
export function attentionCase(
  name: string,
  shape: AttentionShape,
  window: number,
  sizes: { readonly B: number; readonly T: number } = bindings,
): OperationCase {
  const { heads, kvHeads, headSize } = shape;
  const mask = new Float32Array(sizes.T ** 2).map((_, index) => {
    const [row, key] = [Math.floor(index / sizes.T), index % sizes.T];
    return key > row || key <= row - window ? -1e9 : 0;
  });
  return {
    name: `attention (${name})`,
    sizes,
    build: (graph) => {
      const q = graph.input('q', ['B', 'T', heads * headSize]);
      const k = graph.input('k', ['B', 'T', kvHeads * headSize]);
      const v = graph.input('v', ['B', 'T', kvHeads * headSize]);
      return {
        output: attention(graph, q, k, v, attentionReach(graph), shape),
        wanted: [q, k, v],
        fixed: { mask, window: Float32Array.of(window) },
      };
    },
  };
}

export const operationCases: readonly OperationCase[] = [
  {
    name: 'add',
    build: (graph) => {
      const a = graph.input('a', ['B', 'T', 6]);
      const b = graph.input('b', ['B', 'T', 6]);
      return { output: add(graph, a, b), wanted: [a, b] };
    },
  },
  {
    name: 'add of a value to itself (gradients add up)',
    build: (graph) => {
      const a = graph.input('a', ['B', 'T', 6]);
      return { output: add(graph, a, a), wanted: [a] };
    },
  },
  {
    name: 'addBias',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 6]);
      const bias = graph.input('bias', [6]);
      return { output: addBias(graph, x, bias), wanted: [x, bias] };
    },
  },
  {
    name: 'linear',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 6]);
      const weight = graph.input('weight', [4, 6]);
      return { output: linear(graph, x, weight), wanted: [x, weight] };
    },
  },
  {
    name: 'rmsNorm',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 6]);
      const weight = graph.input('weight', [6]);
      return { output: rmsNorm(graph, x, weight, 1e-5), wanted: [x, weight] };
    },
  },
  {
    name: 'headNorm',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 12]);
      const weight = graph.input('weight', [4]);
      return { output: headNorm(graph, x, weight, 3, 1e-5), wanted: [x, weight] };
    },
  },
  {
    name: 'reshape',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 12]);
      return { output: reshape(graph, x, [0, 0, 3, 4], ['B', 'T', 3, 4]), wanted: [x] };
    },
  },
  {
    name: 'hadamard (blocks of 8 as 2 x 4)',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 24]);
      return { output: hadamard(graph, x, 8), wanted: [x] };
    },
  },
  {
    name: 'hadamard (blocks of 2)',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 6]);
      return { output: hadamard(graph, x, 2), wanted: [x] };
    },
  },
  {
    name: 'replaceColumns',
    build: (graph) => {
      const values = graph.input('values', ['T', 70]);
      const updates = graph.input('updates', ['T', 3]);
      const indices = graph.input('indices', ['T', 3], 'int32');
      return {
        output: replaceColumns(graph, values, indices, updates),
        wanted: [values, updates],
        fixed: { indices: Int32Array.of(0, 69, 7, 1, 2, 3, 68, 0, 5, 33, 32, 31, 64, 63, 65) },
      };
    },
  },
  {
    name: 'rotary',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 8]);
      const tables = { cos: graph.input('cos', [5, 2]), sin: graph.input('sin', [5, 2]) };
      return {
        output: rotary(graph, x, tables),
        wanted: [x],
        fixed: { cos: angles.map(Math.cos), sin: angles.map(Math.sin) },
      };
    },
  },
  {
    name: 'rotary of the first half of each head',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 16]);
      const tables = { cos: graph.input('cos', [5, 2]), sin: graph.input('sin', [5, 2]) };
      return {
        output: rotary(graph, x, tables, { heads: 2, rotated: 4 }),
        wanted: [x],
        fixed: { cos: angles.map(Math.cos), sin: angles.map(Math.sin) },
      };
    },
  },
  {
    name: 'scale',
    build: (graph) => {
      const x = graph.input('x', ['B', 'T', 6]);
      return { output: scale(graph, x, -1.75), wanted: [x] };
    },
  },
  attentionCase('a scale of its own, a window of two', { heads: 4, kvHeads: 2, headSize: 4, scale: 0.8 }, 2),
  attentionCase('grouped queries, causal', { heads: 4, kvHeads: 2, headSize: 4 }, wholeRow),
  // Longer than a block of the kernels that stream, with edges, and a window that leaves whole blocks out.
  attentionCase('many positions, a window', { heads: 3, kvHeads: 1, headSize: 6 }, 20, { B: 1, T: 70 }),
  {
    name: 'swiGlu',
    build: (graph) => {
      const gate = graph.input('gate', ['B', 'T', 6]);
      const up = graph.input('up', ['B', 'T', 6]);
      return { output: swiGlu(graph, gate, up), wanted: [gate, up] };
    },
  },
  {
    name: 'reluSquaredGlu',
    build: (graph) => {
      const gate = graph.input('gate', ['B', 'T', 6]);
      const up = graph.input('up', ['B', 'T', 6]);
      return { output: reluSquaredGlu(graph, gate, up), wanted: [gate, up] };
    },
  },
  {
    name: 'geGlu',
    build: (graph) => {
      const gate = graph.input('gate', ['B', 'T', 6]);
      const up = graph.input('up', ['B', 'T', 6]);
      return { output: geGlu(graph, gate, up), wanted: [gate, up] };
    },
  },
];

/** What a ternary layer computes, its inputs, and the sizes of its results. */
export interface TernaryCase {
  readonly graph: Graph;
  /** The output, the activation's whole numbers, gradients of input and weight. */
  readonly results: Readonly<Record<'output' | 'xi' | 'dx' | 'dw', Value>>;
  readonly feeds: Readonly<Record<string, ElementBuffer>>;
  readonly counts: Readonly<Record<'output' | 'xi' | 'dx' | 'dw', number>>;
}

/**
 * A BitLinear with int8 activations whose whole numbers and scales come out the same however a processor rounds.
 * @param scales shape of delta
 * @param bytes the forward pass multiplies codes of a byte
 */
export function ternaryCase(
  { rows, width, outputs }: Readonly<Record<'rows' | 'width' | 'outputs', number>>,
  scales: readonly number[],
  bytes: boolean,
): TernaryCase {
  const random = noise(3);
  const graph = new Graph('bitlinear');
  const input = graph.input('x', ['B', 'T', width]);
  const weight = {
    values: graph.input('values', [outputs, width]),
    transposed: bytes ? graph.input('transposed', [width, outputs], 'int8') : null,
    delta: graph.input('delta', scales),
  };
  const quantised = quantiseActivation(graph, input);
  const output = ternaryLinear(graph, quantised, weight);
  const seed = graph.input('seed', output.shape);
  const gradients = differentiate(graph, new Map([[output, seed]]), [input, weight.values]);
  const values = new Float32Array(outputs * width).map(() => Math.round(random() * 1.4));
  const transposed = new Int8Array(values.length);
  native.transposeTernary(values, width, transposed);
  return {
    graph,
    results: { output, xi: quantised.integers, dx: gradients.get(input)!, dw: gradients.get(weight.values)! },
    feeds: {
      // Eighths and a largest value of 127: nothing is near a tie, and every scale is 1.
      x: new Float32Array(rows * width).map((_, at) =>
        at % width === 0 ? 127 : Math.round(random() * 800) / 8 + 0.0625,
      ),
      values,
      // Powers of two: scales come out the same however a driver divides.
      delta: new Float32Array(scales.reduce((a, b) => a * b, 1)).map((_, at) => 2 ** (-1 - (at % 3))),
      seed: new Float32Array(rows * outputs).map(random),
      ...(bytes && { transposed }),
    },
    counts: { output: rows * outputs, xi: rows * width, dx: rows * width, dw: outputs * width },
  };
}
