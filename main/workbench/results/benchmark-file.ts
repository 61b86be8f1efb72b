/** Speed, loading time and memory of one file: medians over processes that load and run it. */
import type { BenchmarkRequest, FileBenchmark } from '../../contract/helper-protocol.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import { converse } from '../interface/helper-host.ts';

/**
 * Measures `request.path` with each thread count in `rounds` processes, taken in turns so that a busy moment of the machine falls on
 * all of them. Ends early, with what is whole, when `signal` aborts. Prompts that the context does not hold are left out.
 */
export async function benchmarkFile(
  port: SpawnPort,
  request: BenchmarkRequest,
  rounds: number,
  onRound: (done: number, total: number) => void = () => undefined,
  signal?: AbortSignal,
): Promise<FileBenchmark[]> {
  const samples = new Map<string, FileBenchmark[]>();
  const total = rounds * request.threads.length;
  let done = 0;
  for (let round = 0; round < rounds; round += 1)
    for (const threads of request.threads) {
      let loadSeconds = NaN;
      for await (const message of converse(
        port,
        { type: 'benchmark', request: { ...request, threads: [threads] } },
        signal,
      )) {
        if (message.type === 'loaded') loadSeconds = message.seconds;
        if (message.type !== 'point') continue;
        const { promptTokens, prefillTokensPerSecond, decodeTokensPerSecond, rssBytes } = message.point;
        const key = `${String(threads)}/${String(promptTokens)}`;
        const sample = { threads, promptTokens, prefillTokensPerSecond, decodeTokensPerSecond, loadSeconds, rssBytes };
        samples.set(key, [...(samples.get(key) ?? []), sample]);
      }
      done += 1;
      onRound(done, total);
      if (signal?.aborted === true) return medians(samples);
    }
  return medians(samples);
}

function medians(samples: ReadonlyMap<string, readonly FileBenchmark[]>): FileBenchmark[] {
  return [...samples.values()].map((all) => {
    const of = (name: keyof FileBenchmark): number =>
      all.map((sample) => sample[name]).toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN;
    return {
      threads: of('threads'),
      promptTokens: of('promptTokens'),
      prefillTokensPerSecond: of('prefillTokensPerSecond'),
      decodeTokensPerSecond: of('decodeTokensPerSecond'),
      loadSeconds: of('loadSeconds'),
      rssBytes: of('rssBytes'),
    };
  });
}
