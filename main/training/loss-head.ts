/**
 * The loss head: final norm, logits, cross-entropy and logits distillation over chunks of rows, so that a vocabulary of 151 936
 * never needs a `[B*T, V]` buffer. Forward and backward pass are one program per chunk.
 */
import { native } from '../../native/index.ts';
import { BufferPool } from '../graph/buffer-pool.ts';
import { differentiate } from '../graph/differentiate.ts';
import { Graph, type Value } from '../graph/graph.ts';
import { matmul, pickColumns, replaceColumns } from '../graph/operations.ts';
import { program } from '../graph/passes.ts';
import {
  type BackendMemory,
  type ElementBuffer,
  type EngineOptions,
  memoryOf,
  type Session,
} from '../graph/backend.ts';
import { createSession } from '../graph/session.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { chunkRows, headFeeds, headLogits, type HeadOf, logSoftmax } from '../models/head.ts';
import { finalNormName, headName, type ParameterBuffer } from '../models/parameters.ts';
import type { TopTokens } from './top-tokens.ts';

export interface LogitsDistillation {
  readonly teacher: ModelConfiguration;
  readonly tau: number;
  /** It gives only so many likeliest tokens, and the sum of all others, of each row; absent: its whole logits. */
  readonly top?: number;
  /** Whether rows may also have a weight of the divergence the other way round. */
  readonly reverse?: boolean;
}

/** A head of at most so many weights has its gradient computed the other way round, which takes another buffer of its size. */
export const largestTurnedHead = 40_000_000;

/** `soFar + dLogits^T rows`, `[V, D]`. Transposing the narrow factor and the product is a quarter faster than the wide `dLogits`. */
export function headGradient(
  graph: Graph,
  dLogits: Value,
  rows: Value,
  soFar: Value,
  largestTurned = largestTurnedHead,
): Value {
  const [vocabSize, hiddenSize] = soFar.shape as [number, number];
  if (vocabSize * hiddenSize > largestTurned)
    return graph.node1('Gemm', [dLogits, rows, soFar], soFar.shape, { attributes: { transA: { int: 1 } } });
  const turned = matmul(graph, rows, dLogits, [hiddenSize, vocabSize], { transposeA: true });
  return graph.node1('Add', [graph.node1('Transpose', [turned], soFar.shape), soFar], soFar.shape);
}

/** Takes a token out of a softmax. */
const never = 1e30;

/**
 * Log-probabilities `[n, V]` of a teacher of whom the likeliest tokens `top.ids` `[n, k]` are known, with the logarithms `top.logs` `[n, k]`, and
 * `top.rest` `[n, 1]`, the logarithm of the others' sum. These share it as the student's own do: then divergences and their gradients are exactly those
 * between k + 1 classes, the rest being one of them (docs/method.md, 5.9).
 * @param logits of the student, divided by the temperature
 */
function topTeacher(graph: Graph, logits: Value, top: number): Value {
  const ids = graph.input('top.ids', ['n', top], 'int32');
  const logs = graph.input('top.logs', ['n', top]);
  const rest = graph.input('top.rest', ['n', 1]);
  const zero = graph.node1('Mul', [logs, graph.constant(0)], logs.shape);
  const others = replaceColumns(graph, logits, ids, graph.node1('Sub', [zero, graph.constant(never)], logs.shape));
  return replaceColumns(graph, graph.node1('Add', [logSoftmax(graph, others), rest], others.shape), ids, logs);
}

function buildLossProgram(configuration: ModelConfiguration, distillation: LogitsDistillation | null) {
  const graph = new Graph('loss-head');
  const { vocabSize } = configuration;
  const wide = ['n', vocabSize];
  const { rows, norm, head, normed, logits } = headLogits(graph, configuration);
  const targets = graph.input('targets', ['n', 1], 'int64');
  const weights = graph.input('weights', ['n', 1]);
  const logP = logSoftmax(graph, logits);
  const nll = graph.node1('Neg', [pickColumns(graph, logP, targets)], ['n', 1]);
  const weigh = (value: Value): Value => graph.node1('Mul', [value, weights], value.shape);
  const weightedRows = weigh(normed);
  // d(CE)/d(logits) = softmax - onehot (docs/method.md, 5.1). We never build the one-hot: the softmax part goes through the products
  // below, and the target's row is subtracted afterwards. Row weights are applied to the narrow side, except with distillation, where
  // they must be in dLogits.
  let dLogits = graph.node1('Exp', [logP], wide);
  let kl: Value | null = null;
  let reverseKl: Value | null = null;
  if (distillation) {
    const tau = graph.constant(distillation.tau);
    const tempered = (each: Value): Value => graph.node1('Div', [each, tau], wide);
    const { teacher: configurationOfTeacher, top } = distillation;
    const own = tempered(logits);
    const logTeacher =
      top === undefined
        ? logSoftmax(graph, tempered(headLogits(graph, configurationOfTeacher, 'teacher.').logits))
        : topTeacher(graph, own, top);
    const kdWeights = graph.input('kdWeights', ['n', 1]);
    const logStudent = logSoftmax(graph, own);
    const pTeacher = graph.node1('Exp', [logTeacher], wide);
    const terms = graph.node1('Mul', [pTeacher, graph.node1('Sub', [logTeacher, logStudent], wide)], wide);
    kl = graph.node1('ReduceSum', [terms, graph.integers([1])], ['n', 1]);
    const pStudent = graph.node1('Exp', [logStudent], wide);
    const difference = graph.node1('Sub', [pStudent, pTeacher], wide);
    const scaled = graph.node1('Mul', [difference, graph.node1('Div', [kdWeights, tau], ['n', 1])], wide);
    dLogits = graph.node1('Add', [weigh(dLogits), scaled], wide);
    if (distillation.reverse) {
      // d KL(s || t) / d(logits) = s (log s - log t - KL(s || t)) / tau
      const ratio = graph.node1('Sub', [logStudent, logTeacher], wide);
      reverseKl = graph.node1(
        'ReduceSum',
        [graph.node1('Mul', [pStudent, ratio], wide), graph.integers([1])],
        ['n', 1],
      );
      const beyond = graph.node1('Mul', [pStudent, graph.node1('Sub', [ratio, reverseKl], wide)], wide);
      const reverseWeights = graph.node1('Div', [graph.input('reverseWeights', ['n', 1]), tau], ['n', 1]);
      dLogits = graph.node1('Add', [dLogits, graph.node1('Mul', [beyond, reverseWeights], wide)], wide);
    }
  }
  const flatTargets = graph.node1('Reshape', [targets, graph.integers([-1])], ['n']);
  const targetRows = graph.node1('Gather', [head, flatTargets], rows.shape);
  const dRows = matmul(graph, dLogits, head, rows.shape);
  const dNormed = graph.node1('Sub', [distillation ? dRows : weigh(dRows), weigh(targetRows)], rows.shape);
  const gradients = differentiate(graph, new Map([[normed, dNormed]]), [rows, norm]);
  const dHead = headGradient(
    graph,
    dLogits,
    distillation ? normed : weightedRows,
    graph.input('dHeadSoFar', head.shape),
  );
  return program('loss-head', graph, {
    nll,
    ...(kl ? { kl } : {}),
    ...(reverseKl ? { reverseKl } : {}),
    dRows: gradients.get(rows)!,
    dNorm: gradients.get(norm)!,
    dHead,
    weightedRows,
  });
}

/** Rows of a hidden state `[B*T, D]`, picked for the head. */
export interface HeadRows {
  /** Row indices into the hidden state. */
  readonly positions: Int32Array;
  /** Next-token id of each row. */
  readonly targets: Int32Array;
  /** Weight of each row in the cross-entropy; the weights of a step add up to 1. */
  readonly weights: Float32Array;
  /** Weight of each row in the logits term (lambda included). */
  readonly kdWeights: Float32Array | null;
  /** Weight of each row in the logits term the other way round, where the head has it. */
  readonly reverseWeights: Float32Array | null;
}

export interface HeadLosses {
  /** Sum over rows of weight * cross-entropy (Eq. 7, and L_CE of Eq. 13). */
  crossEntropy: number;
  /** Sum over rows of kdWeight * KL(teacher || student) at temperature tau (Eq. 8-9), and of reverseWeight * KL(student || teacher). */
  distillation: number;
}

function toInt64(values: Int32Array): BigInt64Array {
  return BigInt64Array.from(values, BigInt);
}

/** Losses of a chunk's rows, `[n]` each, where the backend computes, and their weights. */
interface ChunkLosses {
  readonly nll: Float32Array;
  readonly weights: Float32Array;
  /** The logits terms of both directions. */
  readonly terms: readonly { readonly loss: Float32Array; readonly weights: Float32Array }[];
}

/** What a teacher gives of a hidden state's rows: its trunk's output `[B*T, Dt]`, or the likeliest tokens of each. */
export type TeacherRows = { readonly network: HeadOf; readonly hidden: Float32Array } | { readonly top: TopTokens };

/** Buffers `[n, V]` that are alive together: logits, their softmax and gradient; with a teacher its own and both at tau; of both divergences two more. */
export function logitBuffers(distils: boolean, reverse = false): number {
  return distils ? (reverse ? 8 : 6) : 3;
}

export class LossHead {
  readonly #session: Session;
  readonly #configuration: ModelConfiguration;
  readonly #distils: boolean;
  /** Keeps the heads and the gradient. */
  readonly #memory: BackendMemory;
  readonly #pool: BufferPool;
  /** Of each run whose losses were not asked for yet. */
  #unread: ChunkLosses[][] = [];

  private constructor(session: Session, configuration: ModelConfiguration, distils: boolean, memory: BackendMemory) {
    this.#session = session;
    this.#memory = memory;
    this.#pool = new BufferPool(memory);
    this.#configuration = configuration;
    this.#distils = distils;
  }

  static async create(
    configuration: ModelConfiguration,
    distillation: LogitsDistillation | null,
    options: EngineOptions,
  ): Promise<LossHead> {
    const session = await createSession(buildLossProgram(configuration, distillation), options);
    return new LossHead(session, configuration, distillation !== null, memoryOf(options));
  }

  /**
   * Gradients of the rows' losses, and the losses for `losses`. Adds to `gradients` of the head and the final norm and fills `dHidden` at the rows' positions (elsewhere it is left alone), all of it
   * where the backend computes, and without waiting for it; so hidden states that are there need not come to the host.
   * @param hidden student trunk output `[B*T, D]`
   * @param teacher what it gives, when distilling
   */
  async run(
    student: HeadOf,
    hidden: Float32Array,
    rows: HeadRows,
    dHidden: Float32Array,
    gradients: ParameterBuffer,
    teacher?: TeacherRows,
  ): Promise<void> {
    const { hiddenSize, vocabSize } = this.#configuration;
    const dHead = gradients.view(headName(this.#configuration));
    const dNorm = gradients.view(finalNormName);
    const memory = this.#memory;
    const heads = [student, ...(teacher && 'network' in teacher ? [teacher.network] : [])];
    memory.keep(
      dHead,
      dNorm,
      ...heads.map(({ configuration, parameters }) => parameters.view(headName(configuration))),
    );
    const rowsOf = { pool: this.#pool, memory };
    const chunks: ChunkLosses[] = [];
    this.#unread.push(chunks);
    /** A buffer that is read with the losses. */
    const lossBuffer = (name: string, count: number): Float32Array => {
      const buffer = this.#pool.take(`${name}.${this.#unread.length}.${chunks.length}`, count);
      memory.keep(buffer);
      return buffer;
    };
    const chunk = chunkRows(vocabSize);
    for (let start = 0; start < rows.positions.length; start += chunk) {
      const positions = rows.positions.subarray(start, start + chunk);
      const n = positions.length;
      const targets = rows.targets.subarray(start, start + n);
      const weights = rows.weights.subarray(start, start + n);
      const feeds: Record<string, ElementBuffer> = {
        ...(await headFeeds(student, hidden, positions, rowsOf)),
        targets: toInt64(targets),
        weights,
        dHeadSoFar: dHead,
      };
      const results: Record<string, Float32Array> = {
        nll: lossBuffer('nll', n),
        dRows: this.#pool.take('dRows', n * hiddenSize),
        dNorm: this.#pool.take('dNorm', hiddenSize),
        dHead,
        weightedRows: this.#pool.take('weightedRows', n * hiddenSize),
      };
      memory.keep(results.dRows!, results.dNorm!, results.weightedRows!);
      const kdWeights = rows.kdWeights?.subarray(start, start + n);
      if (this.#distils && teacher && kdWeights) {
        Object.assign(
          feeds,
          'top' in teacher
            ? this.#topFeeds(teacher.top, positions)
            : await headFeeds(teacher.network, teacher.hidden, positions, rowsOf, 'teacher.'),
        );
        feeds.kdWeights = kdWeights;
        results.kl = lossBuffer('kl', n);
      }
      const reverseWeights = results.kl && rows.reverseWeights?.subarray(start, start + n);
      if (reverseWeights) {
        feeds.reverseWeights = reverseWeights;
        results.reverseKl = lossBuffer('reverseKl', n);
      }
      await this.#session.run({ n }, feeds, results);
      await memory.addRows(dHead, targets, hiddenSize, results.weightedRows!, -1);
      await memory.add(dNorm, results.dNorm!);
      await memory.placeRows(dHidden, positions, hiddenSize, results.dRows!);
      chunks.push({
        nll: results.nll!,
        weights,
        terms: [
          ...(results.kl && kdWeights ? [{ loss: results.kl, weights: kdWeights }] : []),
          ...(reverseWeights ? [{ loss: results.reverseKl!, weights: reverseWeights }] : []),
        ],
      });
    }
  }

  /** Arrays that `losses` reads: whoever reads others too may read them together. */
  get unread(): Float32Array[] {
    return this.#unread.flat().flatMap(({ nll, terms }) => [nll, ...terms.map(({ loss }) => loss)]);
  }

  /** Forgets losses that nobody asked for. */
  forget(): void {
    this.#unread = [];
  }

  /** The losses of each run since they were last asked for. */
  async losses(): Promise<HeadLosses[]> {
    const runs = this.#unread;
    await this.#memory.read(...this.unread);
    this.#unread = [];
    return runs.map((chunks) => {
      const losses: HeadLosses = { crossEntropy: 0, distillation: 0 };
      for (const { nll, weights, terms } of chunks)
        for (const [row, weight] of weights.entries()) {
          losses.crossEntropy += weight * nll[row]!;
          for (const term of terms) losses.distillation += term.weights[row]! * term.loss[row]!;
        }
      return losses;
    });
  }

  #topFeeds({ top, ids, logs, rest }: TopTokens, positions: Int32Array): Record<string, ElementBuffer> {
    const n = positions.length;
    const pickedIds = new Int32Array(n * top);
    positions.forEach((position, row) => pickedIds.set(ids.subarray(position * top, (position + 1) * top), row * top));
    const pickedLogs = this.#pool.take('top.logs', n * top);
    native.gatherRows(logs, positions, top, pickedLogs);
    const pickedRest = this.#pool.take('top.rest', n);
    native.gatherRows(rest, positions, 1, pickedRest);
    return { 'top.ids': pickedIds, 'top.logs': pickedLogs, 'top.rest': pickedRest };
  }

  async release(): Promise<void> {
    this.#pool.release();
    await this.#session.release();
  }
}
