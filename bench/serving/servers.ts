/** The servers that are measured: each a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

export interface Running {
  readonly address: string;
  close(): Promise<void>;
}

const script = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Most seconds until a server stands ready. */
const startSeconds = 120;

function begin(
  command: string,
  args: readonly string[],
): { child: ChildProcess; said: () => string; ended: Promise<never> } {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
  });
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      reject(new Error(`${command} ended with code ${String(code)}. ${said.trim()}`));
    });
  });
  // Who waits for it hears it; after the start nobody does.
  ended.catch(() => undefined);
  return { child, said: () => said, ended };
}

function closing(child: ChildProcess): () => Promise<void> {
  return () =>
    new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) {
        resolve();
        return;
      }
      child.once('exit', () => {
        resolve();
      });
      child.kill('SIGTERM');
    });
}

/** A program that says its address as JSON in its first line. */
async function tellingServer(args: readonly string[]): Promise<Running> {
  const { child, ended } = begin(process.execPath, args);
  const first = new Promise<string>((resolve) => {
    let text = '';
    child.stdout!.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
  });
  const { address } = JSON.parse(await Promise.race([first, ended])) as { address: string };
  return { address, close: closing(child) };
}

/** Our own: a GGUF file, or a folder that `deploy` made. */
export const ourServer = (path: string, threads: number, conversations: number): Promise<Running> =>
  tellingServer([
    script('../../main/shell/cli/main.ts'),
    ...['serve-model', path, '--json', '--no-token', '--threads', String(threads)],
    ...['--conversations', String(conversations)],
  ]);

/** node-llama-cpp's contexts (llama-peer.ts). */
export const llamaPeer = (component: string, path: string, threads: number, sequences: number, context: number) =>
  tellingServer([script('./llama-peer.ts'), component, path, ...[threads, sequences, context].map(String)]);

/** llama.cpp's own server with its defaults; `context` tokens for each of `sequences` slots. */
export async function llamaServer(
  program: string,
  path: string,
  threads: number,
  sequences: number,
  context: number,
): Promise<Running> {
  const port = await freePort();
  const address = `http://127.0.0.1:${String(port)}`;
  const { child, ended } = begin(program, [
    ...['--model', path, '--host', '127.0.0.1', '--port', String(port), '--threads', String(threads)],
    ...['--parallel', String(sequences), '--ctx-size', String(sequences * context)],
  ]);
  child.stdout!.resume();
  const ready = async (): Promise<void> => {
    for (const until = Date.now() + startSeconds * 1000; Date.now() < until;) {
      const found = await fetch(`${address}/health`).catch(() => null);
      if (found?.ok === true) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${program} did not become ready in ${String(startSeconds)} seconds.`);
  };
  const close = closing(child);
  try {
    await Promise.race([ready(), ended]);
  } catch (error) {
    await close();
    throw error;
  }
  return { address, close };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}
