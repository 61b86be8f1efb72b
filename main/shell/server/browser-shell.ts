/** A workbench behind the loopback server, from start to end of the process. */
import { fileURLToPath } from 'node:url';
import { forkPort } from '../../jobs/fork-port.ts';
import { openApplication } from '../../workbench/interface/application.ts';
import { closeOnRequest } from '../closing.ts';
import { buildPageWhenDue, pageFolder } from './page-build.ts';
import { startServer } from './server.ts';

export interface BrowserShellOptions {
  readonly workspace?: string;
  readonly port: number;
  /** Shows a link to the user: prints it, or opens a browser. */
  readonly present: (link: string) => void;
  /** Called when a link has been used. */
  readonly onOpened?: () => void;
}

const runtimeWorker = fileURLToPath(new URL('../../jobs/helper-worker.ts', import.meta.url));

/** Resolves when the workbench is served; it ends with the process. Throws when the page can't be built or the workspace is held. */
export async function openBrowserShell(options: BrowserShellOptions): Promise<void> {
  const application = await openApplication({
    ...(options.workspace === undefined ? {} : { folder: options.workspace }),
    shell: 'browser',
    // Its session was opened with the one-time token.
    paths: { kind: 'sender-is-user' },
    jobs: forkPort(),
    runtime: forkPort(runtimeWorker),
  });
  try {
    // After the workspace: that another workbench holds it is said at once.
    buildPageWhenDue((line) => process.stderr.write(line));
  } catch (thrown) {
    await application.close();
    throw thrown;
  }
  const server = await startServer(application, pageFolder, {
    port: options.port,
    ...(options.onOpened === undefined ? {} : { onOpened: options.onOpened }),
  });
  options.present(server.newLink());

  closeOnRequest(application, {
    say: (line) => {
      process.stderr.write(`${line}\n`);
    },
    exit: (code) => process.exit(code),
    after: () => server.close(),
  });
  const presentAnew = (): void => {
    options.present(server.newLink());
  };
  if (process.stdin.isTTY) process.stdin.on('data', presentAnew);
  // A service has no terminal to press Enter in (docs/deployment.md).
  if (process.platform !== 'win32') process.on('SIGUSR2', presentAnew);
}
