/**
 * The student's runtime: loads a GGUF file (docs/formats.md; I2_S, T3_4, Q2_0, TQ2_0 and TQ1_0, dense tensors) and runs it on the CPU. Calls are synchronous and
 * meant for a worker process; `generate` gives the event loop a turn after every token, so that it can be cancelled.
 */
import { addon } from './addon.ts';

export type KernelName = 'avx512-vnni' | 'avx-vnni' | 'avx2' | 'neon-dot' | 'portable';

/** How ternary weights lie in memory: `auto` takes what is fastest on this processor. `1.25bit` is for weights of which exactly three of four are not 0. */
export type LayoutName = 'auto' | '2bit' | '1.6bit' | '1.25bit';

export interface LoadOptions {
  /** Threads of the model's own pool; they sleep while nothing is asked. Default 1. */
  threads?: number;
  /** Tokens that the KV cache can hold. Default: what the model was trained for, at most 4096. Memory is used as tokens come. */
  contextLength?: number;
  /**
   * Storage of keys and values. `f16` (default) perturbs the logits by some 1e-3, since rounded attention moves int8 roundings after it; `f32` follows
   * training exactly and is right for evaluation; `int8` keeps one scale per token and head.
   */
  kvType?: 'f32' | 'f16' | 'int8';
  /** Forces a kernel (also by the environment variable TRITSMITH_KERNEL). All give the same integers. */
  kernel?: KernelName;
  layout?: LayoutName;
}

export interface ModelInformation {
  architecture: string;
  kernel: KernelName;
  layout: '2bit' | '1.6bit' | '1.25bit';
  threads: number;
  vocabularySize: number;
  hiddenSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  ffnSize: number;
  trainedContextLength: number;
  contextLength: number;
  /** The head is the embedding table. */
  tied: boolean;
  ternaryParameters: number;
  denseParameters: number;
  fileBytes: number;
  /** Weights in memory: packed, copied or mapped. */
  weightBytes: number;
  /** Bytes of weights that decoding one token reads. */
  bytesPerToken: number;
  /** Bytes that one token of a conversation takes in its cache. */
  cacheBytesPerToken: number;
  /** Most tokens that pass the weights together. */
  tileTokens: number;
  loadSeconds: number;
}

export interface SamplingOptions {
  /** 0 (default) is greedy. */
  temperature?: number;
  /** Keep the k most likely tokens; 0 (default) keeps all. */
  topK?: number;
  /** Keep the smallest set of tokens whose probability reaches this. Default 1. */
  topP?: number;
  /** Logits of the last 64 tokens are divided by it where positive, multiplied where negative. Default 1. */
  repetitionPenalty?: number;
}

export interface GenerationOptions extends SamplingOptions {
  maxTokens: number;
  /** Generation ends after one of these (it is the last token returned). */
  stopTokens?: readonly number[];
  seed?: number;
  signal?: AbortSignal;
}

export interface Generation {
  tokens: Int32Array;
  reason: 'stop' | 'length' | 'context' | 'cancelled';
  promptTokens: number;
  prefillSeconds: number;
  decodeSeconds: number;
}

/** What went wrong in a file or a request. `code` is one of the project's error codes; `remedy` says what to do next. */
export class StudentError extends Error {
  readonly code: string;
  readonly remedy: string;

  constructor(code: string, message: string, remedy: string) {
    super(message);
    this.name = 'StudentError';
    this.code = code;
    this.remedy = remedy;
  }
}

/** A conversation by its number; 0 is the model's own. */
interface NativeStudent {
  info(): Omit<ModelInformation, 'loadSeconds'>;
  open(): number;
  append(turns: readonly { conversation: number; ids: Int32Array; logits?: number }[], out?: Float32Array): void;
  logits(conversations: Int32Array, out: Float32Array): void;
  sample(conversations: Int32Array, options: readonly SamplingOptions[]): Int32Array;
  seed(conversation: number, seed: number): void;
  truncate(conversation: number, length: number): void;
  state(conversation: number): { length: number; cacheBytes: number };
  closeConversation(conversation: number): void;
  close(): void;
}

interface NativeMatrix {
  multiply(x: Float32Array, y: Float32Array, tokens: number): void;
  bytes(): number;
}

interface TernaryMatrixOptions {
  rows: number;
  columns: number;
  /** What a +1 stands for. Default 1. */
  delta?: number;
  /** Instead: one scale for each row, or for each of several equal groups of a row's columns, `[rows, groups]`. Groups are whole 16 columns. */
  scales?: Float32Array;
  /** Of the rounded inputs: 8 (the default) or 4. */
  bits?: 8 | 4;
  kernel?: KernelName;
  layout?: LayoutName;
  threads?: number;
}

interface NativeRuntime {
  StudentRuntime: new (path: string, options: LoadOptions) => NativeStudent;
  TernaryMatrix: new (weights: Int8Array, options: TernaryMatrixOptions) => NativeMatrix;
  hadamard(x: Float32Array, block: number, options: { kernel?: KernelName }): void;
  kernels(): KernelName[];
  measureMachine(options: { threads: number; kernel?: KernelName }): MachineSpeed;
}

/** The limits that kernels are judged against. */
export interface MachineSpeed {
  /** Sequential reads from memory, best of five passes over 256 MiB. */
  memoryBandwidthBytesPerSecond: number;
  /** The kernel's dot-product instruction alone, in registers; 0 where not measured. */
  integerMultiplyAddsPerSecond: number;
}

const native = addon as NativeRuntime;

/** Kernels that this processor runs, best first. */
export const availableKernels = (): KernelName[] => native.kernels();

/**
 * Turns each `block` values of x, in place, by the orthonormal Hadamard matrix, as the runtime does (docs/method.md, 2.9).
 * @throws RangeError where the block is no power of two that divides x
 */
export const hadamard = (x: Float32Array, block: number, kernel?: KernelName): void =>
  call(() => native.hadamard(x, block, { ...(kernel && { kernel }) }));

/** Measures this machine now, as loaded as it is (about a quarter of a second). */
export const measureMachine = (threads: number, kernel?: KernelName): MachineSpeed =>
  call(() => native.measureMachine({ threads, kernel }));

/** Runs native code; errors come out as StudentError (or TypeError and RangeError for misuse). */
function call<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (thrown) {
    const error = thrown as Error & { code?: unknown; remedy?: unknown };
    if (typeof error.code === 'string' && typeof error.remedy === 'string')
      throw new StudentError(error.code, error.message, error.remedy);
    throw thrown;
  }
}

/**
 * A ternary matrix [rows, columns] behind the runtime's own kernels. `multiply` quantises each row of x [tokens, columns] to 8 or 4 bits (docs/method.md, 2.2
 * and 2.9) and writes y [tokens, rows] = float(xi T^T) * (s * delta), summed over the groups, with s = max(max|x|, 1e-5) / 127, or max(mean|x|, 1e-5) / sqrt(7).
 */
export class TernaryMatrix {
  readonly #native: NativeMatrix;

  constructor(weights: Int8Array, options: TernaryMatrixOptions) {
    this.#native = call(() => new native.TernaryMatrix(weights, options));
  }

  multiply(x: Float32Array, y: Float32Array, tokens: number): void {
    this.#native.multiply(x, y, tokens);
  }

  /** Bytes of the packed weights. */
  get bytes(): number {
    return this.#native.bytes();
  }
}

/** One of several conversations with a model: a KV cache and a sampler of its own. */
export class Conversation {
  readonly #native: NativeStudent;
  readonly #number: number;

  /** Use `StudentModel.open`. */
  constructor(native: NativeStudent, number: number) {
    this.#native = native;
    this.#number = number;
  }

  /** @internal */
  get number(): number {
    return this.#number;
  }

  /** Tokens in the KV cache. */
  get length(): number {
    return this.#native.state(this.#number).length;
  }

  /** Begins the random numbers of `sample` anew. */
  seed(seed: number): void {
    this.#native.seed(this.#number, seed);
  }

  /** Forgets everything after the first `length` tokens (all by default). */
  reset(length = 0): void {
    this.#native.truncate(this.#number, length);
  }

  /** Gives its memory back. */
  close(): void {
    this.#native.closeConversation(this.#number);
  }
}

/** Tokens for one conversation. */
export interface Turn {
  readonly conversation: Conversation;
  readonly ids: Int32Array;
  /** Of so many of its last tokens logits are wanted. Default 0. */
  readonly logits?: number;
}

const own = Int32Array.of(0);
const numbersOf = (conversations: readonly Conversation[]): Int32Array =>
  Int32Array.from(conversations, ({ number }) => number);

/** A loaded model with a conversation of its own (KV cache) and, where wanted, further ones. Not safe for use from several threads. */
export class StudentModel {
  readonly info: Readonly<ModelInformation>;
  readonly #native: NativeStudent;

  /** Use `loadModel`. */
  constructor(path: string, options: LoadOptions) {
    const kernel = options.kernel ?? (process.env.TRITSMITH_KERNEL as KernelName | undefined);
    const started = performance.now();
    this.#native = call(() => new native.StudentRuntime(path, { ...options, kernel }));
    this.info = { ...this.#native.info(), loadSeconds: (performance.now() - started) / 1000 };
  }

  /** Tokens in the KV cache. */
  get length(): number {
    return this.#native.state(0).length;
  }

  /** Weights and used KV cache in memory. */
  get residentBytes(): number {
    return this.info.weightBytes + this.#native.state(0).cacheBytes;
  }

  /** Appends tokens to the conversation; the last one's hidden state is kept for `sample` and `lastLogits`. */
  prefill(ids: Int32Array): void {
    call(() => {
      this.#native.append([{ conversation: 0, ids }]);
    });
  }

  /** Samples the next token from the current logits, without appending it. */
  sample(options: SamplingOptions = {}): number {
    return call(() => this.#native.sample(own, [options]))[0]!;
  }

  /** Appends one token and samples the next. */
  decodeNext(token: number, options: SamplingOptions = {}): number {
    this.prefill(Int32Array.of(token));
    return this.sample(options);
  }

  /** Logits [ids.length, vocabularySize] of every one of the tokens, which are appended. */
  logits(ids: Int32Array): Float32Array {
    const out = new Float32Array(ids.length * this.info.vocabularySize);
    call(() => {
      this.#native.append([{ conversation: 0, ids, logits: ids.length }], out);
    });
    return out;
  }

  /** Logits [vocabularySize] after the last token. */
  lastLogits(): Float32Array {
    const out = new Float32Array(this.info.vocabularySize);
    call(() => {
      this.#native.logits(own, out);
    });
    return out;
  }

  /** Opens another conversation. Its memory is used as tokens come. */
  open(): Conversation {
    return new Conversation(
      this.#native,
      call(() => this.#native.open()),
    );
  }

  /**
   * Appends tokens to several conversations, each of which may occur once, and returns the logits [number wanted, vocabularySize], turn by turn. The tokens
   * pass the weights together, `info.tileTokens` at a time; what a conversation gets is bit for bit what it gets alone.
   */
  append(turns: readonly Turn[]): Float32Array {
    const wanted = turns.reduce((sum, { logits = 0 }) => sum + logits, 0);
    const out = new Float32Array(wanted * this.info.vocabularySize);
    call(() => {
      this.#native.append(
        turns.map(({ conversation, ids, logits = 0 }) => ({ conversation: conversation.number, ids, logits })),
        out,
      );
    });
    return out;
  }

  /** Samples the next token of each of the conversations, without appending it. */
  sampleEach(conversations: readonly Conversation[], options: readonly SamplingOptions[]): Int32Array {
    return call(() => this.#native.sample(numbersOf(conversations), options));
  }

  /**
   * Appends `ids` and generates. `onToken` receives each token as it comes and may return false to end. The last token is not yet in the KV cache.
   * Cancelling (`signal`) works between tokens and between pieces of the prompt.
   */
  async generate(
    ids: Int32Array,
    options: GenerationOptions,
    onToken?: (token: number) => boolean | undefined,
  ): Promise<Generation> {
    const { seed = 0, signal, temperature, topK, topP, repetitionPenalty } = options;
    const sampling = { temperature, topK, topP, repetitionPenalty };
    const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
    this.#native.seed(0, seed);
    const next = async (piece: Int32Array): Promise<number | null> => {
      for (let begin = 0; begin < piece.length; begin += promptPiece) {
        if (signal?.aborted) return null;
        this.prefill(piece.subarray(begin, begin + promptPiece));
        await turn();
      }
      return signal?.aborted ? null : this.sample(sampling);
    };
    return generateWith(next, this.info.contextLength - this.length, ids, options, onToken);
  }

  /** Forgets everything after the first `length` tokens (all by default). */
  reset(length = 0): void {
    this.#native.truncate(0, length);
  }

  /** Gives the memory back, that of all conversations too. The model can't be used any more. */
  close(): void {
    this.#native.close();
  }
}

/**
 * The rules by which an answer goes on and ends. `next` appends tokens to a conversation with room for `room` more and samples the next one, null where it was
 * cancelled. The last token is not yet in the conversation.
 */
export async function generateWith(
  next: (ids: Int32Array) => Promise<number | null>,
  room: number,
  ids: Int32Array,
  { maxTokens, stopTokens = [] }: GenerationOptions,
  onToken?: (token: number) => boolean | undefined,
): Promise<Generation> {
  const tokens: number[] = [];
  const started = performance.now();
  let prefilled = started;
  const done = (reason: Generation['reason']): Generation => ({
    tokens: Int32Array.from(tokens),
    reason,
    promptTokens: ids.length,
    prefillSeconds: (prefilled - started) / 1000,
    decodeSeconds: (performance.now() - prefilled) / 1000,
  });
  let piece = ids;
  while (tokens.length < maxTokens) {
    if (tokens.length > 0 && room < 1) return done('context');
    room -= piece.length;
    const token = await next(piece);
    if (token === null) return done('cancelled');
    if (tokens.length === 0) prefilled = performance.now();
    tokens.push(token);
    if (onToken?.(token) === false || stopTokens.includes(token)) return done('stop');
    piece = Int32Array.of(token);
  }
  return done('length');
}

/** Tokens of the prompt between two chances to cancel: a multiple of the native tile. */
const promptPiece = 576;

/**
 * Loads a GGUF file.
 * @throws StudentError `not-found`, `bad-input` (no GGUF), `damaged`, `unsupported` or `out-of-memory`.
 */
export function loadModel(path: string, options: LoadOptions = {}): StudentModel {
  return new StudentModel(path, options);
}
