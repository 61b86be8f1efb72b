/** The thread between a caller that waits (jinja-sandbox.ts) and the process that renders (jinja-process.ts). */
import { type MessagePort, workerData } from 'node:worker_threads';
import { BeyondLimits, isolatedProcess } from '../isolation/isolated-process.ts';
import type { RenderReply, RenderRequest } from './jinja-process.ts';

const limits = { seconds: 2, megabytes: 256 };
const { port, flag } = workerData as { port: MessagePort; flag: Int32Array };

const start = () => isolatedProcess(new URL('./jinja-process.ts', import.meta.url), limits.megabytes);
let renderer = start();

async function answer(request: RenderRequest): Promise<RenderReply> {
  if (!renderer.alive) renderer = start();
  try {
    return (await renderer.ask(request, limits)) as RenderReply;
  } catch (thrown) {
    const reason = thrown instanceof BeyondLimits ? thrown.message : String(thrown);
    return { problem: `rendering is stopped: ${reason}` };
  }
}

async function reply(request: RenderRequest): Promise<void> {
  port.postMessage(await answer(request));
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
}

port.on('message', (request: RenderRequest) => void reply(request));
