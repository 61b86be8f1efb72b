/**
 * The attention-relation term L_AD (Eq. 10-12 as Algorithm 1 and the released code compute them; docs/method.md, 5.3): for each of
 * Q, K, V the rows are split into relation heads, L2-normalised, R = softmax(A A^T), KL(R_teacher || R_student) averaged over rows.
 * Padding is masked, rows and columns. The clamp of R at 1e-8 can't bind on valid columns: |A A^T| <= 1, so R >= e^-2 / T.
 */
import { BufferPool } from '../graph/buffer-pool.ts';
import { type Dimension, Graph, type Value } from '../graph/graph.ts';
import { matmul } from '../graph/operations.ts';
import { program } from '../graph/passes.ts';
import { type BackendMemory, type EngineOptions, memoryOf, type Session } from '../graph/backend.ts';
import { createSession } from '../graph/session.ts';
import type { StateWidths } from '../models/configuration.ts';
import type { AttentionStates } from '../models/network.ts';

const kinds = ['q', 'k', 'v'] as const;

/** The largest power of two up to 32 that cuts every width into pieces of at least 8 (1 where none does). */
export function automaticSplitHeads(widths: readonly StateWidths[]): number {
  const all = widths.flatMap(({ q, k, v }) => [q, k, v]);
  for (let heads = 32; heads > 1; heads /= 2)
    if (all.every((width) => width % heads === 0 && width / heads >= 8)) return heads;
  return 1;
}

interface Relation {
  /** `[B, S, T, d]`, rows of length 1. */
  readonly rows: Value;
  readonly lengths: Value;
  /** log softmax(rows rows^T), `[B, S, T, T]`. */
  readonly logRelation: Value;
}

function relation(graph: Graph, states: Value, width: number, split: number, columnMask: Value): Relation {
  const size = width / split;
  const shape: Dimension[] = ['B', split, 'T', size];
  const cut = graph.node1('Reshape', [states, graph.integers([0, 0, split, size])], ['B', 'T', split, size]);
  const heads = graph.node1('Transpose', [cut], shape, { attributes: { perm: { ints: [0, 2, 1, 3] } } });
  const squares = graph.node1('ReduceSumSquare', [heads, graph.integers([-1])], ['B', split, 'T', 1]);
  const lengths = graph.node1(
    'Max',
    [graph.node1('Sqrt', [squares], ['B', split, 'T', 1]), graph.constant(1e-12)],
    ['B', split, 'T', 1],
  );
  const rows = graph.node1('Div', [heads, lengths], shape);
  const square: Dimension[] = ['B', split, 'T', 'T'];
  const scores = matmul(graph, rows, rows, square, { transposeB: true });
  const masked = graph.node1('Add', [scores, columnMask], square);
  const logRelation = graph.node1('LogSoftmax', [masked], square, { attributes: { axis: { int: -1 } } });
  return { rows, lengths, logRelation };
}

function buildProgram(student: StateWidths, teacher: StateWidths, split: number) {
  const graph = new Graph('attention-relation');
  const columnMask = graph.input('columnMask', ['B', 1, 1, 'T']);
  const rowWeights = graph.input('rowWeights', ['B', 1, 'T', 1]);
  const results: Record<string, Value> = {};
  for (const kind of kinds) {
    const width = student[kind];
    const own = relation(graph, graph.input(`student.${kind}`, ['B', 'T', width]), width, split, columnMask);
    const wanted = relation(
      graph,
      graph.input(`teacher.${kind}`, ['B', 'T', teacher[kind]]),
      teacher[kind],
      split,
      columnMask,
    );
    const square = own.logRelation.shape;
    const pTeacher = graph.node1('Exp', [wanted.logRelation], square);
    const difference = graph.node1('Sub', [wanted.logRelation, own.logRelation], square);
    const terms = graph.node1('Mul', [graph.node1('Mul', [pTeacher, difference], square), rowWeights], square);
    results[`loss.${kind}`] = graph.node1('ReduceSum', [terms, graph.integers([0, 1, 2, 3])], [], {
      attributes: { keepdims: { int: 0 } },
    });

    const pStudent = graph.node1('Exp', [own.logRelation], square);
    const dScores = graph.node1('Mul', [graph.node1('Sub', [pStudent, pTeacher], square), rowWeights], square);
    const shape = own.rows.shape;
    const dRows = graph.node1(
      'Add',
      [matmul(graph, dScores, own.rows, shape), matmul(graph, dScores, own.rows, shape, { transposeA: true })],
      shape,
    );
    // Through the normalisation: (d - y (y . d)) / |a|.
    const along = graph.node1(
      'ReduceSum',
      [graph.node1('Mul', [dRows, own.rows], shape), graph.integers([-1])],
      [...shape.slice(0, 3), 1],
    );
    const across = graph.node1('Sub', [dRows, graph.node1('Mul', [own.rows, along], shape)], shape);
    const dHeads = graph.node1('Div', [across, own.lengths], shape);
    const turned = graph.node1('Transpose', [dHeads], ['B', 'T', split, width / split], {
      attributes: { perm: { ints: [0, 2, 1, 3] } },
    });
    results[`d.${kind}`] = graph.node1('Reshape', [turned, graph.integers([0, 0, width])], ['B', 'T', width]);
  }
  return program('attention-relation', graph, results);
}

/** One relation matrix holds at most this many elements; longer batches are cut by rows. */
const largestRelation = 16_000_000;

/** Rows of a batch whose relations are computed at a time. */
export function relationRows(split: number, length: number): number {
  return Math.max(1, Math.floor(largestRelation / (split * length * length)));
}

/** Matrices `[rows, split, T, T]` that are alive together: scores, logarithms, probabilities and gradients of both models. */
export const relationBuffers = 8;

export class AttentionRelation {
  readonly #session: Session;
  readonly #student: StateWidths;
  readonly #teacher: StateWidths;
  readonly #split: number;
  readonly #memory: BackendMemory;
  readonly #pool = new BufferPool();

  private constructor(
    session: Session,
    student: StateWidths,
    teacher: StateWidths,
    split: number,
    memory: BackendMemory,
  ) {
    this.#session = session;
    this.#memory = memory;
    this.#student = student;
    this.#teacher = teacher;
    this.#split = split;
  }

  /** @param split relation heads; must divide every width of both sides */
  static async create(
    student: StateWidths,
    teacher: StateWidths,
    split: number,
    options: EngineOptions,
  ): Promise<AttentionRelation> {
    const session = await createSession(buildProgram(student, teacher, split), options);
    return new AttentionRelation(session, student, teacher, split, memoryOf(options));
  }

  /**
   * @param lengths valid tokens of each row of the batch
   * @param validTokens valid tokens of the whole optimiser step, over which the term is averaged
   * @param weight factor on the gradient (gamma)
   * @returns the term (without `weight`) and its gradient with respect to the student's states, valid until the next call
   */
  async run(
    student: AttentionStates,
    teacher: AttentionStates,
    lengths: readonly number[],
    length: number,
    validTokens: number,
    weight: number,
  ): Promise<{ loss: number; gradient: AttentionStates }> {
    const batch = lengths.length;
    const buffer = (kind: (typeof kinds)[number]): Float32Array =>
      this.#pool.take(kind, batch * length * this.#student[kind]);
    const gradient = { q: buffer('q'), k: buffer('k'), v: buffer('v') };
    const atOnce = relationRows(this.#split, length);
    // Pieces of what the backend's memory keeps are cut from what the host has.
    if (atOnce < batch)
      await this.#memory.read(...[student, teacher].flatMap((states) => kinds.map((kind) => states[kind])));
    const unit = 1 / (this.#split * validTokens);
    let loss = 0;
    for (let start = 0; start < batch; start += atOnce) {
      const size = Math.min(atOnce, batch - start);
      const columnMask = new Float32Array(size * length);
      const rowWeights = new Float32Array(size * length);
      for (let row = 0; row < size; row += 1) {
        const valid = lengths[start + row]!;
        columnMask.fill(-1e9, row * length + valid, (row + 1) * length);
        rowWeights.fill(unit, row * length, row * length + valid);
      }
      const feeds: Record<string, Float32Array> = { columnMask, rowWeights };
      const results: Record<string, Float32Array> = {};
      for (const kind of kinds) {
        const cut = (values: Float32Array, width: number): Float32Array =>
          values.subarray(start * length * width, (start + size) * length * width);
        feeds[`student.${kind}`] = cut(student[kind], this.#student[kind]);
        feeds[`teacher.${kind}`] = cut(teacher[kind], this.#teacher[kind]);
        results[`d.${kind}`] = cut(gradient[kind], this.#student[kind]);
        results[`loss.${kind}`] = new Float32Array(1);
      }
      await this.#session.run({ B: size, T: length }, feeds, results);
      for (const kind of kinds) loss += results[`loss.${kind}`]![0]!;
    }
    if (weight !== 1)
      for (const kind of kinds) {
        const values = gradient[kind];
        for (let index = 0; index < values.length; index += 1) values[index]! *= weight;
      }
    return { loss, gradient };
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}
