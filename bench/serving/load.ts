/** Clients of a server with the OpenAI interface: each asks again as soon as it has its answer. */
import { performance } from 'node:perf_hooks';

export interface Target {
  /** Such as http://127.0.0.1:8080 */
  readonly address: string;
  readonly path: string;
  /** Body of the request with this number. */
  body(number: number): object;
  /** The answer is an event stream, whose first text is waited for too. */
  readonly streamed: boolean;
}

/** What was seen of one number of clients. */
export interface Load {
  readonly clients: number;
  readonly requests: number;
  readonly seconds: number;
  /** Tokens of the answers where they are streamed, else of the prompts. */
  readonly tokens: number;
  readonly requestsPerSecond: number;
  readonly tokensPerSecond: number;
  /** Seconds from the request to the end of its answer. */
  readonly latency: Spread;
  /** Seconds to the first text; null where answers are not streamed. */
  readonly first: Spread | null;
}

export interface Spread {
  readonly median: number;
  /** 95th percentile. */
  readonly high: number;
}

interface Answer {
  readonly tokens: number;
  readonly seconds: number;
  readonly first: number | null;
}

/** The least value that at least this share of the values does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

const spread = (values: readonly number[]): Spread => ({ median: quantile(values, 0.5), high: quantile(values, 0.95) });

interface Chunk {
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens?: number } | null;
  readonly choices?: readonly { readonly text?: string }[];
}

/** @throws Error for an answer that is none */
async function ask({ address, path, body, streamed }: Target, number: number): Promise<Answer> {
  const started = performance.now();
  const since = (): number => (performance.now() - started) / 1000;
  const response = await fetch(address + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body(number)),
  });
  if (!response.ok) throw new Error(`${path}: ${String(response.status)} ${await response.text()}`);
  if (!streamed) {
    const found = (await response.json()) as Chunk;
    return { tokens: found.usage?.prompt_tokens ?? 0, seconds: since(), first: null };
  }
  let first: number | null = null;
  let tokens = 0;
  let rest = '';
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + piece).split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      if (!event.startsWith('data: {')) continue;
      const chunk = JSON.parse(event.slice('data: '.length)) as Chunk;
      tokens = chunk.usage?.completion_tokens ?? tokens;
      if ((chunk.choices?.[0]?.text ?? '') !== '') first ??= since();
    }
  }
  if (tokens === 0) throw new Error(`${path}: a stream without its usage`);
  return { tokens, seconds: since(), first: first ?? since() };
}

/**
 * Asks for `seconds`; what was begun then is waited for and counts, with the time that it takes. One request before that warms the server up.
 * @param least requests that are made however long it takes, so that quantiles mean something
 */
export async function measureLoad(target: Target, clients: number, seconds: number, least: number): Promise<Load> {
  await ask(target, 0);
  const answers: Answer[] = [];
  let number = 1;
  const started = performance.now();
  const client = async (): Promise<void> => {
    while (number <= least || performance.now() - started < seconds * 1000) answers.push(await ask(target, number++));
  };
  await Promise.all(Array.from({ length: clients }, client));
  const took = (performance.now() - started) / 1000;
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
  return {
    clients,
    requests: answers.length,
    seconds: took,
    tokens,
    requestsPerSecond: answers.length / took,
    tokensPerSecond: tokens / took,
    latency: spread(answers.map((answer) => answer.seconds)),
    first: target.streamed ? spread(answers.map((answer) => answer.first!)) : null,
  };
}
