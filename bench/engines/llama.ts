/**
 * llama.cpp through node-llama-cpp in a process of its own: `llama.ts <package folder> <gguf> <threads>`. It talks to the package's native binding
 * directly (the calls that its `evaluate` makes), so that no scheduling, text or probabilities of the JavaScript layer slow llama.cpp down.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cpuSeconds, promptIds, serve } from './protocol.ts';

interface Sampler {
  applyConfig(config: object): void;
}
interface NativeContext {
  initBatch(size: number): void;
  addToBatch(sequence: number, position: number, tokens: Uint32Array, logits: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(index: number, sampler: Sampler): Promise<number>;
  disposeSequence(sequence: number): void;
  getThreads(): number;
  setThreads(threads: number): void;
}
interface Llama {
  _bindings: { AddonSampler: new (model: unknown) => Sampler };
  loadModel(options: object): Promise<{
    _model: unknown;
    createContext(options: object): Promise<{ _ctx: NativeContext }>;
  }>;
}

const bareBytes = process.memoryUsage().rss;
const [folder, path, threads] = process.argv.slice(2);
const entry = pathToFileURL(join(folder!, 'node_modules', 'node-llama-cpp', 'dist', 'index.js')).href;
const { getLlama } = (await import(entry)) as { getLlama: (options: object) => Promise<Llama> };
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  progressLogs: false,
  logLevel: 'error',
  maxThreads: 0,
});
const started = performance.now();
const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
const context = await model.createContext({
  contextSize: 640,
  batchSize: 512,
  threads: { ideal: Number(threads), min: Number(threads) },
});
const native = context._ctx;
native.setThreads(Number(threads));
const sampler = new llama._bindings.AddonSampler(model._model);
sampler.applyConfig({ temperature: 0 });

/** Evaluates tokens from `position` on and samples the next, greedily. */
async function next(tokens: number[], position: number): Promise<number> {
  native.initBatch(tokens.length);
  const [index] = native.addToBatch(0, position, Uint32Array.from(tokens), Uint32Array.of(tokens.length - 1));
  await native.decodeBatch();
  return native.sampleToken(index!, sampler);
}

serve(
  {
    loadSeconds: (performance.now() - started) / 1000,
    bareBytes,
    detail: `node-llama-cpp, ${native.getThreads()} threads`,
  },
  async ({ prompt, decode }) => {
    native.disposeSequence(0);
    const beginCpu = cpuSeconds();
    const begin = performance.now();
    let token = await next(promptIds(prompt), 0);
    const first = performance.now();
    const firstCpu = cpuSeconds();
    for (let i = 0; i < decode; i++) {
      if (token < 0) throw new Error('llama.cpp gave no token.');
      token = await next([token], prompt + i);
    }
    return {
      prefillSeconds: (first - begin) / 1000,
      decodeSeconds: (performance.now() - first) / 1000,
      prefillCpuSeconds: firstCpu - beginCpu,
      decodeCpuSeconds: cpuSeconds() - firstCpu,
    };
  },
);
