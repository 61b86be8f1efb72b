/**
 * llama.cpp in this process, through node-llama-cpp's native binding (the calls that its own `evaluate` makes), so that no scheduling, text
 * or probabilities of the JavaScript layer stand in between. A crash of it ends the process: see client.ts for one in a process of its own.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TritsmithError } from '../contract/errors.ts';
import { argmax } from '../basics/numbers.ts';

interface Sampler {
  applyConfig(config: object): void;
}
interface NativeContext {
  initBatch(size: number): void;
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logits: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(index: number, sampler: Sampler): Promise<number>;
  sampleToken(
    index: number,
    sampler: Sampler,
    probabilities: false,
    confidence: false,
    logits: true,
  ): Promise<[token: number, probabilities: undefined, confidence: undefined, logits: number[]]>;
  disposeSequence(sequence: number): void;
  removeTokenCellsFromSequence(sequence: number, from: number, to: number): boolean;
  getThreads(): number;
  setThreads(threads: number): void;
}
interface NativeModel {
  tokenize(text: string, specialTokens: boolean): Uint32Array;
  getTrainContextSize(): number;
}
interface Llama {
  readonly systemInfo: string;
  _bindings: { AddonSampler: new (model: NativeModel) => Sampler };
  loadModel(options: object): Promise<{
    _model: NativeModel;
    createContext(options: object): Promise<{ _ctx: NativeContext; dispose(): Promise<void> }>;
    dispose(): Promise<void>;
  }>;
  dispose(): Promise<void>;
}

export interface LlamaCppOptions {
  /** Default 1. */
  readonly threads?: number;
  /** Tokens of the conversation at most. Default 512. */
  readonly contextLength?: number;
  /** Type of cached keys and values; `f32` for comparing logits, `f16` (default) as llama.cpp is used. */
  readonly kvType?: 'f32' | 'f16';
  /** Attention as one operator, llama.cpp's own default: mostly faster to read a prompt and slower to write. Default false. */
  readonly flashAttention?: boolean;
}

export interface TimedRun {
  /** Until the first token is there (the head included). */
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
  /** Processor time of all threads of the process. */
  readonly prefillCpuSeconds: number;
  readonly decodeCpuSeconds: number;
}

/** Logits of the token after a prompt, and after each token of each branch that continues it. */
export interface BranchLogits {
  readonly prompt: Float32Array;
  readonly branches: readonly (readonly Float32Array[])[];
}

export interface LlamaCppModel {
  readonly loadSeconds: number;
  readonly threads: number;
  /** Longest context that the file itself names. */
  readonly trainedContext: number;
  /** It multiplies matrices in the processor's tiles (Intel AMX), which round activations otherwise. */
  readonly amx: boolean;
  /** Logits `[ids.length - from][V]` of the token after each position from `from` on, in a new conversation. */
  logits(ids: Int32Array, from: number): Promise<Float32Array[]>;
  /** Continues a prompt in several ways, in a new conversation; the prompt is read once and stays in the cache. */
  branches(prompt: Int32Array, branches: readonly Int32Array[]): Promise<BranchLogits>;
  /** The likeliest token again and again, `count` times, in a new conversation. */
  greedy(prompt: Int32Array, count: number): Promise<number[]>;
  /** The same as `greedy`, timed; `count` tokens are decoded after the first. */
  timed(prompt: Int32Array, count: number): Promise<TimedRun>;
  /** Token ids of `text` by the tokenizer in the file, without a first token. `special`: special tokens written in it are recognised. */
  tokenize(text: string, special?: boolean): Promise<number[]>;
  close(): Promise<void>;
}

/** Processor time of this process so far, in seconds. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function loadLlama(component: string, complaints: string[]): Promise<Llama> {
  const entry = pathToFileURL(join(component, 'node_modules', 'node-llama-cpp', 'dist', 'index.js')).href;
  try {
    const { getLlama } = (await import(entry)) as { getLlama: (options: object) => Promise<Llama> };
    return await getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      progressLogs: false,
      logLevel: 'error',
      logger: (_level: string, message: string) => complaints.push(message.trim()),
      maxThreads: 0,
    });
  } catch (error) {
    throw new TritsmithError('unsupported', 'llama-cpp.does-not-start', { problem: (error as Error).message });
  }
}

/**
 * Loads a GGUF file on the CPU.
 * @param component folder that `findLlamaCpp` or `installLlamaCpp` gives
 * @throws TritsmithError `unsupported` when llama.cpp does not start or refuses the file, with what it says
 */
export async function openInLlamaCpp(
  component: string,
  path: string,
  options: LlamaCppOptions = {},
): Promise<LlamaCppModel> {
  const { threads = 1, contextLength = 512, kvType = 'f16', flashAttention = false } = options;
  const complaints: string[] = [];
  const llama = await loadLlama(component, complaints);
  const started = performance.now();
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 }).catch(async (error: unknown) => {
    // What llama.cpp says reaches the logger a little later than its refusal.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const said = [...new Set(complaints.flatMap((text) => text.split('\n')))].filter((line) => line !== '');
    throw new TritsmithError('unsupported', 'llama-cpp.refuses-file', {
      path,
      said: said.slice(0, 3).join(' ') || (error as Error).message,
    });
  });
  const cache = kvType.toUpperCase();
  const context = await model.createContext({
    contextSize: contextLength,
    batchSize: contextLength,
    flashAttention,
    threads: { ideal: threads, min: threads },
    experimentalKvCacheKeyType: cache,
    experimentalKvCacheValueType: cache,
  });
  const native = context._ctx;
  native.setThreads(threads);
  const sampler = new llama._bindings.AddonSampler(model._model);
  sampler.applyConfig({ temperature: 0 });
  const loadSeconds = (performance.now() - started) / 1000;

  /** Evaluates `ids` from `position` on; gives the batch's places of those that logits are wanted of. */
  const evaluate = async (ids: Int32Array, position: number, wanted: Uint32Array): Promise<Uint32Array> => {
    native.initBatch(ids.length);
    const places = native.addToBatch(0, position, Uint32Array.from(ids), wanted);
    await native.decodeBatch();
    return places;
  };
  const next = async (ids: Int32Array, position: number): Promise<number> => {
    const [place] = await evaluate(ids, position, Uint32Array.of(ids.length - 1));
    const token = await native.sampleToken(place!, sampler);
    if (token < 0) throw new TritsmithError('internal', 'llama-cpp.no-token');
    return token;
  };
  const logitsAt = async (place: number): Promise<Float32Array> => {
    const [, , , pairs] = await native.sampleToken(place, sampler, false, false, true);
    const row = new Float32Array(pairs.length / 2);
    for (let index = 0; index < pairs.length; index += 2) row[pairs[index]!] = pairs[index + 1]!;
    return row;
  };

  return {
    loadSeconds,
    threads: native.getThreads(),
    trainedContext: model._model.getTrainContextSize(),
    amx: / AMX_INT8 = 1 /.test(llama.systemInfo),
    logits: async (ids, from) => {
      native.disposeSequence(0);
      const wanted = Uint32Array.from({ length: ids.length - from }, (_, index) => from + index);
      const rows: Float32Array[] = [];
      for (const place of await evaluate(ids, 0, wanted)) rows.push(await logitsAt(place));
      return rows;
    },
    branches: async (prompt, branches) => {
      native.disposeSequence(0);
      const [last] = await evaluate(prompt, 0, Uint32Array.of(prompt.length - 1));
      const found = { prompt: await logitsAt(last!), branches: [] as Float32Array[][] };
      for (const branch of branches) {
        const rows: Float32Array[] = [];
        if (branch.length > 0) {
          const all = Uint32Array.from(branch.keys());
          for (const place of await evaluate(branch, prompt.length, all)) rows.push(await logitsAt(place));
          if (!native.removeTokenCellsFromSequence(0, prompt.length, -1))
            throw new TritsmithError('internal', 'llama-cpp.no-way-back');
        }
        found.branches.push(rows);
      }
      return found;
    },
    greedy: async (prompt, count) => {
      native.disposeSequence(0);
      const tokens: number[] = [];
      let input = prompt;
      let position = 0;
      while (tokens.length < count) {
        const [place] = await evaluate(input, position, Uint32Array.of(input.length - 1));
        const token = argmax(await logitsAt(place!));
        tokens.push(token);
        position += input.length;
        input = Int32Array.of(token);
      }
      return tokens;
    },
    timed: async (prompt, count) => {
      native.disposeSequence(0);
      const beginCpu = cpuSeconds();
      const begin = performance.now();
      let token = await next(prompt, 0);
      const first = performance.now();
      const firstCpu = cpuSeconds();
      for (let step = 0; step < count; step += 1) token = await next(Int32Array.of(token), prompt.length + step);
      return {
        prefillSeconds: (first - begin) / 1000,
        decodeSeconds: (performance.now() - first) / 1000,
        prefillCpuSeconds: firstCpu - beginCpu,
        decodeCpuSeconds: cpuSeconds() - firstCpu,
      };
    },
    tokenize: (text, special = false) => Promise.resolve([...model._model.tokenize(text, special)]),
    close: async () => {
      await context.dispose();
      await model.dispose();
      await llama.dispose();
    },
  };
}
