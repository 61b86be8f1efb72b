/**
 * The student's runtime: loads a GGUF file (docs/formats.md; I2_S, Q2_0, TQ2_0 and TQ1_0 with one scale per tensor, dense tensors) and runs it on the CPU. Calls are synchronous and
 * meant for a worker process; `generate` gives the event loop a turn after every token, so that it can be cancelled.
 */
import { addon } from './addon.ts';

export type KernelName = 'avx512-vnni' | 'avx-vnni' | 'avx2' | 'neon-dot' | 'portable';

/** How ternary weights lie in memory: `auto` takes what is fastest on this processor. */
export type LayoutName = 'auto' | '2bit' | '1.6bit';

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
  layout: '2bit' | '1.6bit';
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

interface NativeStudent {
  info(): Omit<ModelInformation, 'loadSeconds'>;
  append(ids: Int32Array, eachLogits?: Float32Array): void;
  logits(out: Float32Array): void;
  sample(options: SamplingOptions): number;
  seed(seed: number): void;
  truncate(length: number): void;
  state(): { length: number; cacheBytes: number };
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
  kernel?: KernelName;
  layout?: LayoutName;
  threads?: number;
}

interface NativeRuntime {
  StudentRuntime: new (path: string, options: LoadOptions) => NativeStudent;
  TernaryMatrix: new (weights: Int8Array, options: TernaryMatrixOptions) => NativeMatrix;
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
 * A ternary matrix [rows, columns] behind the runtime's own kernels. `multiply` quantises each row of x [tokens, columns] to int8 (docs/method.md, 2.2) and
 * writes y [tokens, rows] = float(xi T^T) * (s * delta) with s = max(max|x|, 1e-5) / 127.
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

/** A loaded model with one conversation (KV cache). Not safe for use from several threads. */
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
    return this.#native.state().length;
  }

  /** Weights and used KV cache in memory. */
  get residentBytes(): number {
    return this.info.weightBytes + this.#native.state().cacheBytes;
  }

  /** Appends tokens to the conversation; the last one's hidden state is kept for `sample` and `lastLogits`. */
  prefill(ids: Int32Array): void {
    call(() => this.#native.append(ids));
  }

  /** Samples the next token from the current logits, without appending it. */
  sample(options: SamplingOptions = {}): number {
    return call(() => this.#native.sample(options));
  }

  /** Appends one token and samples the next. */
  decodeNext(token: number, options: SamplingOptions = {}): number {
    this.prefill(Int32Array.of(token));
    return this.sample(options);
  }

  /** Logits [ids.length, vocabularySize] of every one of the tokens, which are appended. */
  logits(ids: Int32Array): Float32Array {
    const out = new Float32Array(ids.length * this.info.vocabularySize);
    call(() => this.#native.append(ids, out));
    return out;
  }

  /** Logits [vocabularySize] after the last token. */
  lastLogits(): Float32Array {
    const out = new Float32Array(this.info.vocabularySize);
    call(() => this.#native.logits(out));
    return out;
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
    const { maxTokens, stopTokens = [], seed = 0, signal, ...sampling } = options;
    const tokens: number[] = [];
    const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
    const started = performance.now();
    let prefilled = started;
    const done = (reason: Generation['reason']): Generation => ({
      tokens: Int32Array.from(tokens),
      reason,
      promptTokens: ids.length,
      prefillSeconds: (prefilled - started) / 1000,
      decodeSeconds: (performance.now() - prefilled) / 1000,
    });
    this.#native.seed(seed);
    for (let begin = 0; begin < ids.length; begin += promptPiece) {
      if (signal?.aborted) return done('cancelled');
      this.prefill(ids.subarray(begin, begin + promptPiece));
      prefilled = performance.now();
      await turn();
    }
    while (tokens.length < maxTokens) {
      if (signal?.aborted) return done('cancelled');
      if (tokens.length > 0) {
        if (this.length >= this.info.contextLength) return done('context');
        this.prefill(Int32Array.of(tokens.at(-1)!));
      }
      const token = this.sample(sampling);
      tokens.push(token);
      if (onToken?.(token) === false || stopTokens.includes(token)) return done('stop');
      await turn();
    }
    return done('length');
  }

  /** Forgets everything after the first `length` tokens (all by default). */
  reset(length = 0): void {
    this.#native.truncate(length);
  }

  /** Gives the memory back. The model can't be used any more. */
  close(): void {
    this.#native.close();
  }
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
