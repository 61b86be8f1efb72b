/** Prefill and decode speed of one exported model by threads and prompt length, in the native runtime or in llama.cpp. */
import { loadModel } from '../../../native/runtime.ts';
import { median } from '../../basics/numbers.ts';
import type { BenchmarkPoint, BenchmarkRequest, RuntimeMessage } from '../../contract/helper-protocol.ts';
import { openInLlamaCpp, requireLlamaCpp } from '../../llama-cpp/index.ts';
import { ggufFacts } from '../inspect/gguf-facts.ts';

/** Rounds per point, after one that warms caches up; the median counts. */
const roundCount = 3;

/** Says `loaded` for each thread count and one `point` for each combination. Prompts longer than the model's context are left out. */
export async function benchmark(request: BenchmarkRequest, say: (message: RuntimeMessage) => void): Promise<void> {
  if (request.engine === 'llama.cpp') return benchmarkInLlamaCpp(request, say);
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
        const prompt = benchmarkPrompt(promptTokens, model.info.vocabularySize);
        const prefill: number[] = [];
        const decode: number[] = [];
        for (let round = 0; round <= roundCount; round++) {
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
        const point = pointOf({ threads, promptTokens, decodeTokens: request.decodeTokens }, prefill, decode, before);
        say({ type: 'point', point, done, total });
      }
    } finally {
      model.close();
    }
  }
}

function benchmarkPrompt(length: number, vocabularySize: number): Int32Array {
  return Int32Array.from({ length }, (_, index) => (index * 7 + 5) % vocabularySize);
}

/** Seconds of several rounds as one point; the medians count. */
function pointOf(
  { threads, promptTokens, decodeTokens }: { threads: number; promptTokens: number; decodeTokens: number },
  prefill: readonly number[],
  decode: readonly number[],
  rssBefore: number,
): BenchmarkPoint {
  return {
    threads,
    promptTokens,
    prefillTokensPerSecond: promptTokens / median(prefill),
    decodeTokensPerSecond: decodeTokens / median(decode),
    requestSeconds: median(prefill) + median(decode),
    rssBytes: Math.max(0, process.memoryUsage.rss() - rssBefore),
  };
}

/** The same measurement of the same file in llama.cpp; `weightBytes` are the file's, which llama.cpp maps. */
async function benchmarkInLlamaCpp(request: BenchmarkRequest, say: (message: RuntimeMessage) => void): Promise<void> {
  const component = requireLlamaCpp();
  const { path, decodeTokens } = request;
  const { vocabularySize, fileBytes, contextLength: trained } = await ggufFacts(path);
  const total = request.threads.length * request.promptLengths.length;
  const longest = Math.max(...request.promptLengths) + decodeTokens + 1;
  let done = 0;
  for (const threads of request.threads) {
    const before = process.memoryUsage.rss();
    const model = await openInLlamaCpp(component, path, { threads, contextLength: Math.min(trained, longest) });
    say({ type: 'loaded', seconds: model.loadSeconds, weightBytes: fileBytes, kernel: 'llama.cpp' });
    try {
      for (const promptTokens of request.promptLengths) {
        done += 1;
        if (promptTokens + decodeTokens >= trained) continue;
        const prompt = benchmarkPrompt(promptTokens, vocabularySize);
        const prefill: number[] = [];
        const decode: number[] = [];
        for (let round = 0; round <= roundCount; round++) {
          const { prefillSeconds, decodeSeconds } = await model.timed(prompt, decodeTokens);
          if (round === 0) continue;
          prefill.push(prefillSeconds);
          decode.push(decodeSeconds);
        }
        const point = pointOf({ threads, promptTokens, decodeTokens }, prefill, decode, before);
        say({ type: 'point', point, done, total });
      }
    } finally {
      await model.close();
    }
  }
}
