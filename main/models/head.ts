/**
 * Final norm and logits, over chunks of rows: the part that scoring and the losses of training have in common. Inputs are `rows` `[n, D]`, `norm`
 * `[D]` and `head` `[V, D]`.
 */
import type { BackendMemory } from '../graph/backend.ts';
import type { BufferPool } from '../graph/buffer-pool.ts';
import type { Graph, Value } from '../graph/graph.ts';
import { linear, rmsNorm, scale } from '../graph/operations.ts';
import { type ActivationRounding, roundActivations } from '../graph/rounded-activations.ts';
import type { ModelConfiguration } from './configuration.ts';
import { finalNormName, headName, type ParameterBuffer } from './parameters.ts';

/** Logits of at most this many elements are alive at once. */
const largestLogits = 40_000_000;

/** How many rows the head computes at a time for a vocabulary, so that a large one needs no `[B*T, V]` buffer. */
export function chunkRows(vocabSize: number): number {
  return Math.max(16, Math.min(1024, Math.floor(largestLogits / vocabSize)));
}

export interface HeadLogits {
  readonly rows: Value;
  readonly norm: Value;
  readonly head: Value;
  /** What the head multiplies. */
  readonly normed: Value;
  readonly logits: Value;
}

/**
 * Adds final norm and logits to a graph.
 * @param prefix of the inputs' names: tells a teacher's from a student's
 * @param rounding how the rows are rounded before the product; it has no gradient
 */
export function headLogits(
  graph: Graph,
  { hiddenSize, vocabSize, rmsNormEpsilon, logitScale }: ModelConfiguration,
  prefix = '',
  rounding: ActivationRounding = 'none',
): HeadLogits {
  const rows = graph.input(`${prefix}rows`, ['n', hiddenSize]);
  const norm = graph.input(`${prefix}norm`, [hiddenSize]);
  const head = graph.input(`${prefix}head`, [vocabSize, hiddenSize]);
  const scaled = scale(graph, rmsNorm(graph, rows, norm, rmsNormEpsilon), logitScale);
  const normed = roundActivations(graph, scaled, rounding);
  return { rows, norm, head, normed, logits: linear(graph, normed, head) };
}

/** Log-softmax over the last axis. It records no gradient: the loss head writes that of a whole loss by hand. */
export function logSoftmax(graph: Graph, x: Value): Value {
  return graph.node1('LogSoftmax', [x], x.shape, { attributes: { axis: { int: -1 } } });
}

/** A model as far as its head needs it: of the parameters those of the head and of the norm before it. */
export interface HeadOf {
  readonly configuration: ModelConfiguration;
  readonly parameters: ParameterBuffer;
}

/** The feeds of `headLogits` for the rows of `hidden` `[B*T, D]` at `positions`; `rows` is a buffer of the pool, where the backend computes. */
export async function headFeeds(
  { configuration, parameters }: HeadOf,
  hidden: Float32Array,
  positions: Int32Array,
  { pool, memory }: { readonly pool: BufferPool; readonly memory: BackendMemory },
  prefix = '',
): Promise<Record<string, Float32Array>> {
  const width = configuration.hiddenSize;
  const rows = pool.take(`${prefix}rows`, positions.length * width);
  memory.keep(rows);
  await memory.gatherRows(hidden, positions, width, rows);
  return {
    [`${prefix}rows`]: rows,
    [`${prefix}norm`]: parameters.view(finalNormName),
    [`${prefix}head`]: parameters.view(headName(configuration)),
  };
}
