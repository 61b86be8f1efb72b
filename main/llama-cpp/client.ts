/** llama.cpp in a process of its own: a file that makes it abort, or take all memory, ends that process alone. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { environmentForNode, plainNode } from '../basics/plain-node.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { LlamaCppModel, LlamaCppOptions } from './engine.ts';
import type { LlamaCppReply, LlamaCppRequest } from './protocol.ts';

export interface LlamaCppProcess extends LlamaCppModel {
  /** Resident memory of the process before the model was loaded. */
  readonly bareBytes: number;
  /** Resident memory of the process now. */
  residentBytes(): Promise<number>;
  /** Ends the process at once; what is being asked fails. */
  kill(): void;
}

function died(path: string, code: number | null, signal: string | null, said: string): TritsmithError {
  return new TritsmithError('worker-died', 'llama-cpp.ended', { path, signal, code }, { details: said || undefined });
}

/** One request at a time; the reply, or the end of the process, settles it. */
function conversation(child: ChildProcess, path: string): (request: LlamaCppRequest) => Promise<LlamaCppReply> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
  });
  let gone: TritsmithError | null = null;
  let waiting: { resolve: (reply: LlamaCppReply) => void; reject: (error: Error) => void } | null = null;
  child.on('message', (reply) => {
    waiting?.resolve(reply as LlamaCppReply);
    waiting = null;
  });
  child.on('close', (code, signal) => {
    gone = died(path, code, signal, said);
    waiting?.reject(gone);
    waiting = null;
  });
  child.on('error', (error) => {
    waiting?.reject(error);
    waiting = null;
  });
  return (request) =>
    new Promise((resolve, reject) => {
      if (gone !== null) {
        reject(gone);
        return;
      }
      waiting = { resolve, reject };
      child.send(request, () => undefined);
    });
}

/**
 * Loads a GGUF file in a fresh process; `close` ends it, and it ends with this one.
 * @param component folder that `findLlamaCpp` or `installLlamaCpp` gives
 * @throws TritsmithError `unsupported` when llama.cpp refuses the file, `worker-died` when it crashes
 */
export async function startLlamaCpp(
  component: string,
  path: string,
  options: LlamaCppOptions = {},
): Promise<LlamaCppProcess> {
  const child = fork(fileURLToPath(new URL('./process.ts', import.meta.url)), [], {
    execPath: plainNode(),
    env: environmentForNode(),
    execArgv: [],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    windowsHide: true,
  });
  const request = conversation(child, path);
  let last: Promise<unknown> = Promise.resolve();
  const ask = <T>(question: LlamaCppRequest): Promise<T> => {
    const asked = last.then(() => request(question));
    last = asked.catch(() => undefined);
    return asked.then((reply) => {
      if (reply.type === 'failed') throw TritsmithError.deserialise(reply.error);
      return (reply.type === 'answer' ? reply.answer : reply) as T;
    });
  };
  const kill = (): void => void child.kill('SIGKILL');
  type Ready = Extract<LlamaCppReply, { type: 'ready' }>;
  const ready = await ask<Ready>({ type: 'open', component, path, options }).catch((error: unknown) => {
    kill();
    throw error;
  });
  return {
    loadSeconds: ready.loadSeconds,
    threads: ready.threads,
    trainedContext: ready.trainedContext,
    amx: ready.amx,
    bareBytes: ready.bareBytes,
    logits: (ids, from) => ask({ type: 'logits', ids, from }),
    branches: (prompt, branches) => ask({ type: 'branches', prompt, branches }),
    greedy: (ids, count) => ask({ type: 'greedy', ids, count }),
    timed: (ids, count) => ask({ type: 'timed', ids, count }),
    tokenize: (text, special = false) => ask({ type: 'tokenize', text, special }),
    residentBytes: () => ask({ type: 'memory' }),
    close: async () => {
      const closed = new Promise((resolve) => child.once('close', resolve));
      if (child.exitCode !== null || child.signalCode !== null) return;
      kill();
      await closed;
    },
    kill,
  };
}
