/** Templates of others, rendered in a process with limits while this thread waits. */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { RenderReply, RenderRequest } from './jinja-process.ts';

/** Longer than any answer takes: start of thread and process, and the process's own limit. */
const mostSeconds = 180;

interface Sandbox {
  readonly port: MessagePort;
  readonly flag: Int32Array;
}

let sandbox: Sandbox | undefined;

function started(): Sandbox {
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const { port1: port, port2 } = new MessageChannel();
  const worker = new Worker(new URL('./jinja-thread.ts', import.meta.url), {
    workerData: { port: port2, flag },
    transferList: [port2],
    execArgv: [],
  });
  worker.unref();
  port.unref();
  return { port, flag };
}

/**
 * Text of a template; with `names` null only its syntax is checked.
 * @throws Error with the reason: syntax, unknown names, too long, more than 2 seconds of processor time or 256 MB
 */
export function renderInSandbox(source: string, names: object | null, longestOutput: number): string {
  sandbox ??= started();
  const { port, flag } = sandbox;
  Atomics.store(flag, 0, 0);
  port.postMessage({ source, names, longestOutput } satisfies RenderRequest);
  Atomics.wait(flag, 0, 0, mostSeconds * 1000);
  const reply = receiveMessageOnPort(port)?.message as RenderReply | undefined;
  if (reply === undefined) {
    sandbox = undefined;
    throw new Error('the process for templates does not answer');
  }
  if ('problem' in reply) throw new Error(reply.problem);
  return reply.text;
}
