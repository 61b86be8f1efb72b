/**
 * Work on files of others in a process of its own, with a limit of time and memory for each question. A thread would not do: when the
 * memory of a thread runs out in one large step, V8 ends the whole process.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { environmentForNode, plainNode } from '../../basics/plain-node.ts';

export interface Limits {
  /** Limit of processor time, which is the same on a busy machine. */
  readonly seconds: number;
  /** Limit of resident memory above what the process has at rest. */
  readonly megabytes: number;
}

/** What travels to the process. */
export interface Question extends Limits {
  readonly request: unknown;
}

/** The process took too much time or memory, or died otherwise; it has been ended. */
export class BeyondLimits extends Error {}

/** How the watchdog ends the process when its time is up; otherwise memory was the reason. */
export const outOfTime = 'SIGTERM';

export interface IsolatedProcess {
  /** Whether it may be asked again. */
  readonly alive: boolean;
  /** One question at a time. @throws BeyondLimits */
  ask(request: unknown, limits: Limits): Promise<unknown>;
  end(): void;
}

/** By the clock on the wall: a process that has not started or got no processor for so long is given up. */
const startSeconds = 60;
const patience = 40;

/** Forks `entry`, which calls `serveIsolated`. It does not keep this process alive, and ends with it. */
export function isolatedProcess(entry: URL, heapMegabytes: number): IsolatedProcess {
  const child: ChildProcess = fork(fileURLToPath(entry), [], {
    execPath: plainNode(),
    env: environmentForNode(),
    execArgv: [`--max-old-space-size=${heapMegabytes}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    windowsHide: true,
  });
  let alive = true;
  let started = false;
  const end = () => {
    alive = false;
    child.kill('SIGKILL');
  };
  child.once('exit', () => {
    alive = false;
  });
  child.on('error', end);
  const rest = () => {
    child.unref();
    child.channel?.unref();
  };
  rest();
  return {
    get alive() {
      return alive;
    },
    end,
    ask(request, { seconds, megabytes }) {
      return new Promise((resolve, reject) => {
        if (!alive) return reject(new BeyondLimits('the process that reads it has ended'));
        const finish = (use: () => void) => {
          clearTimeout(timer);
          child.off('message', heard).off('exit', gone);
          rest();
          use();
        };
        const heard = (message: unknown) => {
          if (message === 'ready') {
            started = true;
            clearTimeout(timer);
            timer = setTimeout(tooSlow, seconds * patience * 1000);
          } else finish(() => resolve(message));
        };
        const gone = (_code: number | null, signal: string | null) =>
          finish(() =>
            reject(
              new BeyondLimits(
                signal === outOfTime
                  ? `it takes more than ${seconds.toFixed(0)} seconds`
                  : `it needs more than ${megabytes.toFixed(0)} MB of memory`,
              ),
            ),
          );
        const tooSlow = () =>
          finish(() => {
            end();
            reject(new BeyondLimits(`it takes more than ${seconds.toFixed(0)} seconds`));
          });
        let timer = setTimeout(tooSlow, (started ? seconds * patience : startSeconds) * 1000);
        child.ref();
        child.channel?.ref();
        child.on('message', heard).once('exit', gone);
        child.send({ seconds, megabytes, request } satisfies Question, () => undefined);
      });
    },
  };
}
