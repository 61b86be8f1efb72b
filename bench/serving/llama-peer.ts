/**
 * llama.cpp behind the part of the OpenAI interface that the benchmark asks, where there is no llama-server: node-llama-cpp's own context with a
 * sequence for each request, which it evaluates together. `llama-peer.ts <component folder> <gguf> <threads> <sequences> <tokens of context>`; says its port.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: number[], options: object): AsyncGenerator<number, void, void>;
}
interface Model {
  tokenize(text: string): number[];
  detokenize(tokens: number[], special?: boolean, last?: number[]): string;
  createContext(options: object): Promise<{ getSequence(): Sequence }>;
}
interface Asked {
  readonly prompt: string;
  readonly max_tokens: number;
  readonly stream?: boolean;
}

const [component, path, threads, sequences, contextSize] = process.argv.slice(2);
const entry = pathToFileURL(join(component!, 'node_modules', 'node-llama-cpp', 'dist', 'index.js')).href;
const { getLlama } = (await import(entry)) as {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<Model> }>;
};
const llama = await getLlama({
  gpu: false,
  build: 'never',
  skipDownload: true,
  progressLogs: false,
  logLevel: 'error',
  maxThreads: Number(threads),
});
const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
const context = await model.createContext({
  sequences: Number(sequences),
  contextSize: Number(contextSize),
  batchSize: 512,
  threads: { ideal: Number(threads), min: Number(threads) },
});
const free = Array.from({ length: Number(sequences) }, () => context.getSequence());
const waiting: ((sequence: Sequence) => void)[] = [];
const take = (): Promise<Sequence> => {
  const sequence = free.pop();
  return sequence === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(sequence);
};
const give = (sequence: Sequence): void => {
  const next = waiting.shift();
  if (next === undefined) free.push(sequence);
  else next(sequence);
};

async function write(asked: Asked, response: ServerResponse): Promise<void> {
  const prompt = model.tokenize(asked.prompt);
  const sequence = await take();
  const written: number[] = [];
  const send = (body: object): void => void response.write(`data: ${JSON.stringify(body)}\n\n`);
  try {
    await sequence.clearHistory();
    for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      const text = model.detokenize([token], false, written.slice(-8));
      written.push(token);
      if (asked.stream === true) send({ choices: [{ index: 0, text, finish_reason: null }] });
      if (written.length >= asked.max_tokens) break;
    }
  } finally {
    give(sequence);
  }
  const usage = { prompt_tokens: prompt.length, completion_tokens: written.length };
  if (asked.stream === true) {
    send({ choices: [], usage });
    response.end('data: [DONE]\n\n');
  } else response.end(JSON.stringify({ choices: [{ index: 0, text: model.detokenize(written) }], usage }));
}

async function bodyOf(request: IncomingMessage): Promise<Asked> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Asked;
}

const server = createServer((request, response) => {
  void bodyOf(request)
    .then((asked) => write(asked, response))
    .catch((error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    });
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(
    `${JSON.stringify({ address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })}\n`,
  );
});
