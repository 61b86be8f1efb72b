/**
 * llama.cpp through node-llama-cpp in a process of its own, asked for log-probabilities: `llama-scores.ts <package folder> <gguf> <context>`.
 * A message `{ ids, from }` is answered by the log-probabilities `[ids.length - from, V]` of the token after each position from `from` on.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

type Item = number | [number, object];
interface Sequence {
  clearHistory(): Promise<void>;
  controlledEvaluate(input: Item[]): Promise<({ next: { probabilities?: Map<number, number> } } | undefined)[]>;
}
interface Llama {
  loadModel(options: object): Promise<{
    createContext(options: object): Promise<{ getSequence(): Sequence }>;
  }>;
}

export interface ScoreRequest {
  readonly ids: Int32Array;
  readonly from: number;
}

const [folder, path, contextSize] = process.argv.slice(2);
const entry = pathToFileURL(join(folder!, 'node_modules', 'node-llama-cpp', 'dist', 'index.js')).href;
const { getLlama } = (await import(entry)) as { getLlama: (options: object) => Promise<Llama> };
const say = (message: unknown): void => void process.send!(message);

try {
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: 'error',
    maxThreads: 1,
  });
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const size = Number(contextSize);
  const context = await model.createContext({ contextSize: size, batchSize: size, threads: 1 });
  const sequence = context.getSequence();
  process.on('message', (message) => {
    const { ids, from } = message as ScoreRequest;
    void (async () => {
      await sequence.clearHistory();
      const wanted = { generateNext: { probabilities: true, options: { temperature: 0 } } };
      const found = await sequence.controlledEvaluate(
        Array.from(ids, (id, at): Item => (at >= from ? [id, wanted] : id)),
      );
      say(
        found.slice(from).map((item) => {
          const probabilities = item?.next.probabilities ?? new Map<number, number>();
          const scores = new Float32Array(probabilities.size).fill(Number.NEGATIVE_INFINITY);
          for (const [id, probability] of probabilities) scores[id] = Math.log(probability);
          return scores;
        }),
      );
    })();
  });
  say('ready');
} catch (error) {
  say(`refused: ${(error as Error).message}`);
}
