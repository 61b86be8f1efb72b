/** Workers as utility processes of Electron; only Electron's main process can start them. */
import { fromMessageText, toMessageText } from './message-text.ts';
import { OutputTail } from './output-tail.ts';
import type { SpawnPort, WorkerExit, WorkerProcess } from './spawn-port.ts';

/** What is used of Electron's `UtilityProcess`. */
export interface UtilityChild {
  readonly pid: number | undefined;
  readonly stdout: NodeJS.ReadableStream | null;
  readonly stderr: NodeJS.ReadableStream | null;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'spawn', listener: () => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  on(event: 'error', listener: (type: 'FatalError', location: string, report: string) => void): unknown;
  postMessage(message: unknown): void;
  kill(): boolean;
}

/** What is used of Electron's `utilityProcess`. */
export interface UtilityProcesses {
  fork(
    entry: string,
    args: string[],
    options: { stdio: 'pipe'; serviceName: string; env: NodeJS.ProcessEnv; allowLoadingUnsignedLibraries: true },
  ): UtilityChild;
}

/**
 * A port that starts `entry` as a utility process. Its memory lies in Electron's cage: one buffer holds at most 2 GiB there, so training does not go through
 * here. `serviceName`: what the system's task manager shows.
 */
export function utilityPort(electron: UtilityProcesses, entry: string, serviceName: string): SpawnPort {
  return {
    spawn: () =>
      watched(
        // The addons are signed by those who made them, if at all.
        electron.fork(entry, [], { stdio: 'pipe', serviceName, env: process.env, allowLoadingUnsignedLibraries: true }),
      ),
  };
}

/** How long after its exit a worker's last words may still arrive through the pipes. */
const lastWordsMilliseconds = 1000;

function watched(child: UtilityChild): WorkerProcess {
  const tail = new OutputTail();
  const written = [child.stdout, child.stderr].map((stream) => {
    stream?.setEncoding('utf8');
    stream?.on('data', (chunk: string) => {
      tail.push(chunk);
    });
    return stream === null ? Promise.resolve() : new Promise<void>((resolve) => stream.once('close', resolve));
  });
  const listeners: ((message: unknown) => void)[] = [];
  child.on('message', (text) => {
    // Received (`channel.ts`): the worker may end now.
    child.postMessage(null);
    for (const listener of listeners) listener(fromMessageText(text));
  });
  child.on('error', (_type, location) => {
    tail.push(`V8 gave up in ${location}.\n`);
  });
  let killed = false;
  let gone = false;
  const kill = (): void => {
    killed = true;
    // Electron's own `kill` is a SIGTERM, which workers leave to the workbench.
    if (child.pid === undefined || gone) return;
    try {
      process.kill(child.pid, 'SIGKILL');
    } catch {
      // It has just ended.
    }
  };
  // Whoever ends it before it is there means it all the same.
  child.on('spawn', () => {
    if (killed) kill();
  });
  const exited = new Promise<WorkerExit>((resolve) => {
    child.on('exit', (code) => {
      gone = true;
      // Electron tells no signal.
      const exit: WorkerExit = killed ? { code: null, signal: 'SIGKILL' } : { code, signal: null };
      const late = setTimeout(resolve, lastWordsMilliseconds, exit);
      void Promise.all(written).then(() => {
        clearTimeout(late);
        resolve(exit);
      });
    });
  });
  return {
    get pid() {
      return child.pid;
    },
    send: (message) => {
      if (!gone) child.postMessage(toMessageText(message));
    },
    onMessage: (listener) => {
      listeners.push(listener);
    },
    onExit: (listener) => {
      void exited.then(listener);
    },
    kill,
    outputTail: () => tail.toString(),
  };
}
