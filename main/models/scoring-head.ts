/** Final norm and head without gradients: log-probabilities of given tokens, and logits, over chunks of rows. */
import { BufferPool } from '../graph/buffer-pool.ts';
import { Graph } from '../graph/graph.ts';
import { pickColumns } from '../graph/operations.ts';
import { program } from '../graph/passes.ts';
import type { ActivationRounding } from '../graph/rounded-activations.ts';
import { type BackendMemory, type EngineOptions, memoryOf, type Session } from '../graph/backend.ts';
import { createSession } from '../graph/session.ts';
import type { ModelConfiguration } from './configuration.ts';
import { chunkRows, headFeeds, headLogits, type HeadOf, logSoftmax } from './head.ts';

function buildProgram(configuration: ModelConfiguration, rounding: ActivationRounding) {
  const graph = new Graph('scoring-head');
  const { logits } = headLogits(graph, configuration, '', rounding);
  const targets = graph.input('targets', ['n', 'C'], 'int64');
  const picked = pickColumns(graph, logSoftmax(graph, logits), targets);
  return { scores: program('scoring-head', graph, { picked }), logits: program('logits-head', graph, { logits }) };
}

export class ScoringHead {
  readonly #scores: Session;
  readonly #logitsSession: Session;
  readonly #model: HeadOf;
  readonly #memory: BackendMemory;
  readonly #pool: BufferPool;

  private constructor(model: HeadOf, scores: Session, logits: Session, memory: BackendMemory) {
    this.#model = model;
    this.#memory = memory;
    this.#pool = new BufferPool(memory);
    this.#scores = scores;
    this.#logitsSession = logits;
  }

  /** @param rounding how the head's inputs are rounded */
  static async create(
    model: HeadOf,
    options: EngineOptions,
    rounding: ActivationRounding = 'none',
  ): Promise<ScoringHead> {
    const { scores, logits } = buildProgram(model.configuration, rounding);
    const [scoring, logitsSession] = [await createSession(scores, options), await createSession(logits, options)];
    return new ScoringHead(model, scoring, logitsSession, memoryOf(options));
  }

  async #chunks(
    hidden: Float32Array,
    positions: Int32Array,
    visit: (start: number, n: number, feeds: Record<string, Float32Array>) => Promise<void>,
  ): Promise<void> {
    const chunk = chunkRows(this.#model.configuration.vocabSize);
    for (let start = 0; start < positions.length; start += chunk) {
      const picked = positions.subarray(start, start + chunk);
      const feeds = await headFeeds(this.#model, hidden, picked, { pool: this.#pool, memory: this.#memory });
      await visit(start, picked.length, feeds);
    }
  }

  /**
   * Log-probabilities of `perRow` tokens at each position.
   * @param hidden trunk output `[B*T, D]`
   * @param targets `[positions, perRow]`
   * @returns `[positions, perRow]`, natural logarithm
   */
  async logProbabilities(
    hidden: Float32Array,
    positions: Int32Array,
    targets: Int32Array,
    perRow: number,
  ): Promise<Float32Array> {
    const result = new Float32Array(positions.length * perRow);
    await this.#chunks(hidden, positions, async (start, n, feeds) => {
      const ids = BigInt64Array.from(targets.subarray(start * perRow, (start + n) * perRow), BigInt);
      const picked = result.subarray(start * perRow, (start + n) * perRow);
      await this.#scores.run({ n, C: perRow }, { ...feeds, targets: ids }, { picked });
    });
    return result;
  }

  /** Logits `[positions, V]`. */
  async logits(hidden: Float32Array, positions: Int32Array): Promise<Float32Array> {
    const { vocabSize } = this.#model.configuration;
    const result = new Float32Array(positions.length * vocabSize);
    await this.#chunks(hidden, positions, async (start, n, feeds) => {
      await this.#logitsSession.run({ n }, feeds, {
        logits: result.subarray(start * vocabSize, (start + n) * vocabSize),
      });
    });
    return result;
  }

  async release(): Promise<void> {
    this.#pool.release();
    await this.#scores.release();
    await this.#logitsSession.release();
  }
}
