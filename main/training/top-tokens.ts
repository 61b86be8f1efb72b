/**
 * The likeliest next tokens of a teacher and the sum of all others, in place of its logits over the whole vocabulary (docs/method.md, 5.9): how they are
 * found, and how they lie in a file.
 */
import { BufferPool } from '../graph/buffer-pool.ts';
import { type BackendMemory, type EngineOptions, memoryOf, type Session } from '../graph/backend.ts';
import { Graph } from '../graph/graph.ts';
import { pickColumns, replaceColumns } from '../graph/operations.ts';
import { program } from '../graph/passes.ts';
import { createSession } from '../graph/session.ts';
import type { ModelConfiguration } from '../models/configuration.ts';
import { chunkRows, headFeeds, headLogits, type HeadOf, logSoftmax } from '../models/head.ts';
import type { TokenBatch } from '../models/network.ts';

/** Rows of tokens, and how many of each are no padding. */
interface PaddedRows extends TokenBatch {
  readonly lengths: readonly number[];
}

/** What a teacher says at each of some positions; logarithms are natural ones. */
export interface TopTokens {
  /** Likeliest tokens of a position. */
  readonly top: number;
  /** These tokens, `[positions, top]`. */
  readonly ids: Int32Array;
  /** Logarithms of their probabilities at the temperature, `[positions, top]`. */
  readonly logs: Float32Array;
  /** That of the sum of all others' probabilities. */
  readonly rest: Float32Array;
  /** That of the probability, at temperature 1, of the token that follows; NaN where none does. */
  readonly next: Float32Array;
}

/** So many of a model's tokens, but for at least one that is the rest. */
export function topOf(wanted: number, { vocabSize }: Pick<ModelConfiguration, 'vocabSize'>): number {
  return Math.min(wanted, vocabSize - 1);
}

/** The token that follows a position of `[B*T]` in its row; -1 where none does. */
export function nextOf({ ids, length, lengths }: PaddedRows, position: number): number {
  return (position % length) + 1 < lengths[Math.floor(position / length)]! ? ids[position + 1]! : -1;
}

/** Nothing was asked about these positions. */
function emptyTokens(top: number, positions: number): TopTokens {
  return {
    top,
    ids: new Int32Array(positions * top),
    logs: new Float32Array(positions * top),
    rest: new Float32Array(positions),
    next: new Float32Array(positions).fill(NaN),
  };
}

function logitsProgram(configuration: ModelConfiguration) {
  const graph = new Graph('top-logits');
  return program('top-logits', graph, { logits: headLogits(graph, configuration).logits });
}

function topProgram(vocabSize: number, top: number, tau: number) {
  const graph = new Graph('top-tokens');
  const logits = graph.input('logits', ['n', vocabSize]);
  const following = graph.input('following', ['n', 1], 'int32');
  const logP = logSoftmax(graph, graph.node1('Div', [logits, graph.constant(tau)], logits.shape));
  const shape = ['n', top];
  const [logs, ids] = graph.node('TopK', [logP, graph.integers([top])], [shape, shape], {
    type: ['float32', 'int64'],
    attributes: { axis: { int: 1 } },
  }) as [typeof logP, typeof logP];
  const zero = graph.node1('Mul', [logs, graph.constant(0)], shape);
  const others = replaceColumns(graph, logP, ids, graph.node1('Sub', [zero, graph.constant(1e30)], shape));
  // Their own sum, not what the likeliest leave of 1: that would be lost to rounding where the teacher is sure.
  const rest = graph.node1('ReduceLogSumExp', [others, graph.integers([1])], ['n', 1]);
  const next = pickColumns(graph, logSoftmax(graph, logits), following);
  return program('top-tokens', graph, { logs, ids, rest, next });
}

/** The head of a teacher that is asked for its likeliest tokens. */
export class TopHead {
  readonly #model: HeadOf;
  readonly #top: number;
  readonly #logits: Session;
  readonly #tokens: Session;
  readonly #memory: BackendMemory;
  readonly #pool: BufferPool;

  private constructor(model: HeadOf, top: number, logits: Session, tokens: Session, memory: BackendMemory) {
    this.#model = model;
    this.#memory = memory;
    this.#pool = new BufferPool(memory);
    this.#top = top;
    this.#logits = logits;
    this.#tokens = tokens;
  }

  /** @param tau temperature of the logits term */
  static async create(model: HeadOf, wanted: number, tau: number, options: EngineOptions): Promise<TopHead> {
    const top = topOf(wanted, model.configuration);
    const logits = await createSession(logitsProgram(model.configuration), options);
    // A card has no kernel that sorts: the processor looks for the largest, wherever the logits were computed.
    const { threads } = options;
    const tokens = await createSession(topProgram(model.configuration.vocabSize, top, tau), { threads });
    return new TopHead(model, top, logits, tokens, memoryOf(options));
  }

  /**
   * @param hidden trunk output `[B*T, D]`
   * @param positions those of it that are asked about
   * @returns for each of `[B*T]`; what was not asked about has no meaning
   */
  async run(hidden: Float32Array, micro: PaddedRows, positions: Int32Array): Promise<TopTokens> {
    const top = this.#top;
    const { vocabSize } = this.#model.configuration;
    const result = emptyTokens(top, micro.batch * micro.length);
    const chunk = chunkRows(vocabSize);
    for (let start = 0; start < positions.length; start += chunk) {
      const asked = positions.subarray(start, start + chunk);
      const n = asked.length;
      const logits = this.#pool.take('logits', n * vocabSize);
      const of = { pool: this.#pool, memory: this.#memory };
      await this.#logits.run({ n }, await headFeeds(this.#model, hidden, asked, of), { logits });
      const following = asked.map((position) => nextOf(micro, position));
      const ids = new BigInt64Array(n * top);
      const logs = this.#pool.take('logs', n * top);
      const rest = this.#pool.take('rest', n);
      const next = this.#pool.take('next', n);
      const feeds = { logits, following: following.map((token) => Math.max(0, token)) };
      await this.#tokens.run({ n }, feeds, { ids, logs, rest, next });
      for (const [row, position] of asked.entries()) {
        for (let at = 0; at < top; at += 1) result.ids[position * top + at] = Number(ids[row * top + at]);
        result.logs.set(logs.subarray(row * top, (row + 1) * top), position * top);
        result.rest[position] = rest[row]!;
        if (following[row]! >= 0) result.next[position] = next[row]!;
      }
    }
    return result;
  }

  async release(): Promise<void> {
    this.#pool.release();
    await this.#logits.release();
    await this.#tokens.release();
  }
}

/** Tokens of a small vocabulary take two bytes. */
const smallVocabulary = 65_536;

/** How a position lies in a file, in words of four bytes: the tokens, the float16 logarithms, then the rest and the next token's as float32. */
function layoutOf(top: number, vocabSize: number) {
  const Ids = vocabSize <= smallVocabulary ? Uint16Array : Uint32Array;
  const idWords = Math.ceil((top * Ids.BYTES_PER_ELEMENT) / 4);
  const logWords = Math.ceil(top / 2);
  return { Ids, idWords, logWords, words: idWords + logWords + 2 };
}

/** Words of four bytes that a position takes in a file. */
export function topWords(top: number, vocabSize: number): number {
  return layoutOf(top, vocabSize).words;
}

/** Positions as they lie in a file. */
export function packTokens({ top, ids, logs, rest, next }: TopTokens, vocabSize: number): Float32Array {
  const { Ids, idWords, logWords, words } = layoutOf(top, vocabSize);
  const packed = new Float32Array(rest.length * words);
  for (const [at, value] of rest.entries()) {
    const start = 4 * at * words;
    const own = at * top;
    new Ids(packed.buffer, start, top).set(ids.subarray(own, own + top));
    new Float16Array(packed.buffer, start + 4 * idWords, top).set(logs.subarray(own, own + top));
    packed[at * words + idWords + logWords] = value;
    packed[at * words + idWords + logWords + 1] = next[at]!;
  }
  return packed;
}

/** Positions from a file; their probabilities, which were rounded, add up to 1 again. */
export function unpackTokens(packed: Float32Array, top: number, vocabSize: number): TopTokens {
  const { Ids, idWords, logWords, words } = layoutOf(top, vocabSize);
  const tokens = emptyTokens(top, packed.length / words);
  const buffer = packed.buffer as ArrayBuffer;
  for (let at = 0; at < tokens.rest.length; at += 1) {
    const start = packed.byteOffset + 4 * at * words;
    tokens.ids.set(new Ids(buffer, start, top), at * top);
    const logs = new Float16Array(buffer, start + 4 * idWords, top);
    const rest = packed[at * words + idWords + logWords]!;
    const sum = logs.reduce((total, log) => total + Math.exp(log), Math.exp(rest));
    const excess = Math.log(sum);
    logs.forEach((log, index) => (tokens.logs[at * top + index] = log - excess));
    tokens.rest[at] = rest - excess;
    tokens.next[at] = packed[at * words + idWords + logWords + 1]!;
  }
  return tokens;
}
