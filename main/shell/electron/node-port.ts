/** Workers of the Electron shell: processes of the pinned Node, which runs the sources as they are. */
import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { OutputTail } from '../../jobs/output-tail.ts';
import type { SpawnPort, WorkerExit } from '../../jobs/spawn-port.ts';

export function nodePort(entry: string): SpawnPort {
  const packageFolder = dirname(createRequire(import.meta.url).resolve('node/package.json'));
  const execPath = join(packageFolder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  return {
    spawn: () => {
      const child = fork(entry, [], {
        execPath,
        execArgv: [],
        serialization: 'json',
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      });
      const tail = new OutputTail();
      for (const stream of [child.stdout, child.stderr])
        stream?.setEncoding('utf8').on('data', (chunk: string) => {
          tail.push(chunk);
        });
      return {
        pid: child.pid,
        send: (message) => {
          if (child.connected) child.send(message as object, () => undefined);
        },
        onMessage: (listener) => {
          child.on('message', listener);
        },
        onExit: (listener) => {
          let told = false;
          const tell = (exit: WorkerExit): void => {
            if (!told) listener(exit);
            told = true;
          };
          child.once('error', (error) => {
            if (child.pid === undefined) tell({ code: null, signal: null, startError: error.message });
          });
          child.once('close', (code, signal) => {
            tell({ code, signal });
          });
        },
        kill: () => {
          child.kill('SIGKILL');
        },
        outputTail: () => tail.toString(),
      };
    },
  };
}
