/** What the inference benchmark and the process of one engine say to each other. */
import { existsSync, readFileSync } from 'node:fs';

/** Sent once by the engine's process. */
export interface Ready {
  loadSeconds: number;
  /** Resident memory before the model was loaded. */
  bareBytes: number;
  /** Bytes of weights that one decoded token reads, where known. */
  bytesPerToken?: number;
  detail: string;
}

/** One measurement: a fresh conversation of `prompt` tokens, then `decode` more. */
export interface Round {
  prompt: number;
  decode: number;
}

export interface RoundResult {
  /** Until the first token is there (the head included). */
  prefillSeconds: number;
  decodeSeconds: number;
  /** Processor time of all threads of the process: what the wall time would be without other work, with one thread. */
  prefillCpuSeconds: number;
  decodeCpuSeconds: number;
  rssBytes: number;
  /** Its part that belongs to no file: weights in own memory, cache, buffers, heap. Null where the system doesn't tell. */
  anonymousBytes: number | null;
}

/** The prompt: printable, never a special token. */
export const promptIds = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => 300 + ((i * 7919) % 20_000));

/** Processor time of this process so far, in seconds. */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function anonymousBytes(): number | null {
  const status = '/proc/self/status';
  const found = existsSync(status) ? /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8')) : null;
  return found === null ? null : Number(found[1]) * 1024;
}

/** Answers rounds until the parent hangs up. */
export function serve(
  ready: Ready,
  measure: (round: Round) => Promise<Omit<RoundResult, 'rssBytes' | 'anonymousBytes'>>,
): void {
  process.on('message', (round: Round) => {
    void measure(round).then((result) => {
      const rssBytes = process.memoryUsage.rss();
      process.send!({ ...result, rssBytes, anonymousBytes: anonymousBytes() } satisfies RoundResult);
    });
  });
  process.on('disconnect', () => process.exit(0));
  process.send!(ready);
}
