/**
 * llama.cpp through node-llama-cpp in a process of its own: `llama.ts <package folder> <gguf> <threads>`. Tokens in, tokens out: no text, no
 * probabilities, greedy.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promptIds, serve } from './protocol.ts';

interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: number[], options: { temperature: number; yieldEogToken: boolean }): AsyncGenerator<number>;
}
interface Llama {
  loadModel(options: object): Promise<{
    createContext(options: object): Promise<{ getSequence(): Sequence }>;
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
const sequence = context.getSequence();

serve(
  { loadSeconds: (performance.now() - started) / 1000, bareBytes, detail: 'node-llama-cpp' },
  async ({ prompt, decode }) => {
    await sequence.clearHistory();
    const begin = performance.now();
    let first = begin;
    let count = 0;
    for await (const token of sequence.evaluate(promptIds(prompt), { temperature: 0, yieldEogToken: true })) {
      if (token < 0) throw new Error('llama.cpp gave no token.');
      if (count === 0) first = performance.now();
      if (count++ === decode) break;
    }
    if (count !== decode + 1) throw new Error(`llama.cpp stopped after ${count} tokens.`);
    return { prefillSeconds: (first - begin) / 1000, decodeSeconds: (performance.now() - first) / 1000 };
  },
);
