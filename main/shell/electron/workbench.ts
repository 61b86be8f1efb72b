/**
 * The workbench behind the window: the same one as behind the server, in a process of its own, so that no long query stops the window. It may be a utility
 * process of Electron, or the pinned Node; the window's shell (`workbench-line.ts`) is at the other end.
 */
import { RPCHandler } from '@orpc/server/message-port';
import { fileURLToPath } from 'node:url';
import { TritsmithError } from '../../contract/errors.ts';
import { windowMessage, type WindowMessage, type WorkbenchMessage } from '../../contract/window-protocol.ts';
import { openChannel } from '../../jobs/channel.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { BorrowedWorkers } from '../../jobs/lent-workers.ts';
import { parentPort } from '../../jobs/parent-port.ts';
import { type Application, openApplication } from '../../workbench/interface/application.ts';
import { workbenchRouter } from '../../workbench/interface/procedures/router.ts';

/** How often it is looked whether what the window must know has changed. */
const busyMilliseconds = 500;
const shipped = fileURLToPath(new URL('../../../resources', import.meta.url));
const helperEntry = fileURLToPath(new URL('../../jobs/helper-worker.ts', import.meta.url));

process.umask(0o077);
const channel = openChannel();
const say = (message: WorkbenchMessage): Promise<void> => channel.send(message);
const borrowed = new BorrowedWorkers((wish) => void say(wish));
// On Windows the addon asks for a program that is called node.exe, so only the pinned Node can load it.
const borrows = parentPort() !== undefined && process.platform !== 'win32';
const handler = new RPCHandler(workbenchRouter());

let application: Application | null = null;
let closing: Promise<void> | null = null;

/** One page's end of its line, as oRPC's handler wants it. */
class PagePort {
  readonly #page: number;
  #heard: ((event: { data: unknown }) => void) | null = null;
  #closed: (() => void) | null = null;

  constructor(page: number) {
    this.#page = page;
  }
  on(event: string, listener: (event?: { data: unknown }) => void): void {
    if (event === 'message') this.#heard = listener;
    if (event === 'close') this.#closed = listener;
  }
  postMessage(data: unknown): void {
    // Files would travel as bytes; no procedure has any.
    if (typeof data !== 'string') throw new TypeError('The answer to a page is no text.');
    void say({ type: 'page-said', page: this.#page, text: data });
  }
  heard(text: string): void {
    this.#heard?.({ data: text });
  }
  closed(): void {
    this.#closed?.();
  }
}
const pages = new Map<number, PagePort>();

const questions = new Map<number, (allowed: boolean) => void>();
let lastQuestion = 0;
function askToRead(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const question = ++lastQuestion;
    questions.set(question, resolve);
    void say({ type: 'may-read', question, path });
  });
}

async function open(folder: string | undefined): Promise<void> {
  try {
    application = await openApplication({
      ...(folder === undefined ? {} : { folder }),
      shell: 'electron',
      paths: { kind: 'granted', shipped: [shipped], ask: askToRead },
      // Its buffers may be larger than Electron's memory cage allows, and a student is the same bit for bit from every shell.
      jobs: forkPort(),
      questions: borrows ? borrowed.port('question') : forkPort(),
      runtime: borrows ? borrowed.port('row') : forkPort(helperEntry),
      reveal: (path) => void say({ type: 'show-in-folder', path }),
    });
  } catch (thrown) {
    await say({ type: 'not-opened', error: TritsmithError.from(thrown).serialise() });
    process.exit(1);
  }
  tellBusy(application);
  await say({ type: 'opened' });
}

function tellBusy({ queue, downloads }: Application): void {
  let told = '';
  const tell = (): void => {
    const now = { training: queue.running !== null, downloading: downloads.busy };
    if (JSON.stringify(now) === told) return;
    told = JSON.stringify(now);
    void say({ type: 'busy', ...now });
  };
  tell();
  setInterval(tell, busyMilliseconds).unref();
}

function close(): Promise<void> {
  closing ??= (async () => {
    try {
      await application?.close();
      await say({ type: 'closed' });
      process.exit(0);
    } catch (thrown) {
      process.stderr.write(`${String(thrown)}\n`);
      process.exit(1);
    }
  })();
  return closing;
}

function hear(message: WindowMessage): void {
  switch (message.type) {
    case 'open':
      void open(message.workspace);
      return;
    case 'page-opened': {
      if (application === null) return;
      const port = new PagePort(message.page);
      pages.set(message.page, port);
      handler.upgrade(port, { context: { application } });
      return;
    }
    case 'page-said':
      pages.get(message.page)?.heard(message.text);
      return;
    case 'page-closed':
      pages.get(message.page)?.closed();
      pages.delete(message.page);
      return;
    case 'granted':
      application?.paths.grant(message.path);
      return;
    case 'allowed':
      questions.get(message.question)?.(message.allowed);
      questions.delete(message.question);
      return;
    case 'close':
      void close();
      return;
    case 'worker-said':
    case 'worker-exited':
      borrowed.hear(message);
  }
}

// A request to end is the shell's to interpret.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
channel.onDisconnect(() => void close());
channel.onMessage((raw) => {
  hear(windowMessage.parse(raw));
});
void say({ type: 'awake' });
