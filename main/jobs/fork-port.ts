/** Workers as child processes of the pinned Node: the port of every shell. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { environmentForNode, plainNode } from '../basics/plain-node.ts';
import { fromMessageText, toMessageText } from './message-text.ts';
import { OutputTail } from './output-tail.ts';
import type { SpawnPort, WorkerExit, WorkerProcess } from './spawn-port.ts';

/** How long after its exit a worker's last words may still arrive through the pipes. */
const lastWordsMilliseconds = 1000;

/**
 * A port that forks `entry` (default: the production worker) with Node and no further options. The child gets its own process
 * group where the system has them, so that Ctrl-C in a terminal reaches the workbench alone. `program`: what runs the entry instead
 * of Node itself, such as a script that sets limits first.
 */
export function forkPort(
  entry: string = fileURLToPath(new URL('./worker.ts', import.meta.url)),
  program: string = plainNode(),
): SpawnPort {
  return { spawn: () => forkWorker(entry, program) };
}

function forkWorker(entry: string, program: string): WorkerProcess {
  const child = fork(entry, [], {
    execPath: program,
    execArgv: [],
    env: environmentForNode(),
    serialization: 'json',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    windowsHide: true,
    detached: process.platform !== 'win32',
  });
  const tail = new OutputTail();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      tail.push(chunk);
    });
  }
  return {
    pid: child.pid,
    send: (message) => {
      if (child.connected) child.send(toMessageText(message), () => undefined);
    },
    onMessage: (listener) => {
      child.on('message', (text) => {
        listener(fromMessageText(text));
      });
    },
    onExit: (listener) => {
      whenGone(child, listener);
    },
    kill: () => {
      child.kill('SIGKILL');
    },
    outputTail: () => tail.toString(),
  };
}

/** Exit, end of the message channel and end of the output come in any order; a grandchild may even keep the output open. */
function whenGone(child: ChildProcess, listener: (exit: WorkerExit) => void): void {
  let exit: WorkerExit | null = null;
  let disconnected = false;
  let closed = false;
  let told = false;
  const tell = (gone: WorkerExit): void => {
    if (told) return;
    told = true;
    listener(gone);
  };
  const tellWhenAll = (): void => {
    if (exit !== null && disconnected && closed) tell(exit);
  };
  child.once('error', (error) => {
    if (child.pid === undefined) tell({ code: null, signal: null, startError: error.message });
  });
  child.once('disconnect', () => {
    disconnected = true;
    tellWhenAll();
  });
  child.once('close', () => {
    closed = true;
    tellWhenAll();
  });
  child.once('exit', (code, signal) => {
    exit = { code, signal };
    tellWhenAll();
    setTimeout(tell, lastWordsMilliseconds, exit).unref();
  });
}
