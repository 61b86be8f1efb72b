/** Prefill and decode speed of one exported model by threads and prompt length, in the native runtime. */
import { loadModel } from '../../native/runtime.ts';
import type { BenchmarkPoint, BenchmarkRequest, RuntimeMessage } from '../contract/runtime-protocol.ts';

/** Rounds per point, after one that warms caches up; the median counts. */
const ROUNDS = 3;

/** Says `loaded` for each thread count and one `point` for each combination. Prompts longer than the model's context are left out. */
export async function benchmark(request: BenchmarkRequest, say: (message: RuntimeMessage) => void): Promise<void> {
  const total = request.threads.length * request.promptLengths.length;
  let done = 0;
  for (const threads of request.threads) {
    const before = process.memoryUsage.rss();
    const model = loadModel(request.path, { threads });
    const { loadSeconds, weightBytes, kernel } = model.info;
    say({ type: 'loaded', seconds: loadSeconds, weightBytes, kernel });
    try {
      for (const promptTokens of request.promptLengths) {
        done += 1;
        if (promptTokens + request.decodeTokens >= model.info.contextLength) continue;
        const prompt = Int32Array.from(
          { length: promptTokens },
          (_, index) => (index * 7 + 5) % model.info.vocabularySize,
        );
        const prefill: number[] = [];
        const decode: number[] = [];
        for (let round = 0; round <= ROUNDS; round++) {
          model.reset();
          const started = performance.now();
          model.prefill(prompt);
          const prefilled = performance.now();
          let token = model.sample();
          for (let step = 0; step < request.decodeTokens; step++) token = model.decodeNext(token);
          if (round > 0) {
            prefill.push((prefilled - started) / 1000);
            decode.push((performance.now() - prefilled) / 1000);
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
        const point: BenchmarkPoint = {
          threads,
          promptTokens,
          prefillTokensPerSecond: promptTokens / median(prefill),
          decodeTokensPerSecond: request.decodeTokens / median(decode),
          requestSeconds: median(prefill) + median(decode),
          rssBytes: Math.max(0, process.memoryUsage.rss() - before),
        };
        say({ type: 'point', point, done, total });
      }
    } finally {
      model.close();
    }
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
