/** The window's shell around a real workbench, with a stand-in for the parts of Electron that it uses. */
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/message-port';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WorkbenchClient } from '../../contract/procedures.ts';
import { electronStandIn, type StandInOptions } from './fixtures/electron-stand-in.ts';
import { origin } from './policy.ts';
import { beginWindowShell } from './window-shell.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const ours = { parent: null, url: `${origin}/` };
type Opened = ReturnType<typeof electronStandIn>;
let folder: string;
let workspace: string;
const opened: Opened[] = [];
const before = { listeners: new Map<string, unknown[]>(), node: process.env['TRITSMITH_NODE'] };
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tritsmith-window-')));
  workspace = join(folder, 'workspace');
  for (const signal of signals) before.listeners.set(signal, process.listeners(signal));
});
afterEach(async () => {
  for (const one of opened.splice(0)) {
    one.app.emit('window-all-closed');
    await until(() => one.told.exits.length > 0);
  }
  for (const signal of signals)
    for (const listener of process.listeners(signal))
      if (!before.listeners.get(signal)!.includes(listener)) process.off(signal, listener);
  if (before.node === undefined) delete process.env['TRITSMITH_NODE'];
  rmSync(folder, { recursive: true, force: true });
});

async function until(what: () => boolean): Promise<void> {
  const begun = performance.now();
  while (!what()) {
    if (performance.now() - begun > 30_000) throw new Error('It did not come to that within 30 seconds.');
    await sleep(10);
  }
}

/** Opens a window and waits for it. */
async function open(options: Partial<StandInOptions> = {}): Promise<Opened> {
  const one = electronStandIn({ appPath: root, appData: join(folder, 'data'), ...options });
  opened.push(one);
  beginWindowShell(one.electron, ['--workspace', workspace]);
  await until(() => one.windows.length > 0 || one.told.errors.length > 0);
  return one;
}

/** What the preload sends when a page begins. */
function connect({ ipcMain }: Opened, senderFrame: object | null = ours): { client: WorkbenchClient; closed: boolean } {
  const { port1, port2 } = new MessageChannel();
  const joined = { client: null as unknown as WorkbenchClient, closed: false };
  const main = {
    on: (event: string, listener: (event: { data: unknown }) => void) =>
      port2.on(event, (data: unknown) => {
        listener({ data });
      }),
    postMessage: (message: unknown) => {
      port2.postMessage(message);
    },
    start: () => {
      port2.start();
    },
    close: () => {
      joined.closed = true;
      port2.close();
    },
  };
  ipcMain.emit('tritsmith:connect', { senderFrame, ports: [main] });
  port1.start();
  joined.client = createORPCClient(new RPCLink({ port: port1 as never }));
  return joined;
}

describe('a window', () => {
  it('joins its own page to a workbench in a process of its own, and nobody else', async () => {
    const one = await open();
    expect(await connect(one).client.application.information()).toMatchObject({ shell: 'electron', workspace });
    expect(connect(one, { parent: null, url: 'https://evil.example/' }).closed).toBe(true);
    expect(connect(one, { parent: {}, url: `${origin}/` }).closed).toBe(true);
    expect(one.windows[0]!.address).toBe(`${origin}/`);
    expect(one.windows[0]!.options.webPreferences).toMatchObject({
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
    });
    if (process.platform === 'linux') expect(basename(one.windows[0]!.options.icon as string)).toBe('icon.png');
    expect(one.told.menu).toEqual(expect.arrayContaining(['fileMenu', 'editMenu', 'windowMenu']));
    // Its profile is the user's, not the workspace's, which may lie on a share.
    expect(one.told.paths['userData']).toContain(join(folder, 'data', 'Tritsmith', 'windows'));
  });

  it('is shown by the first of three signs, once', async () => {
    const one = await open();
    const [window] = one.windows;
    expect(window!.shows).toBe(0);
    window!.webContents.emit('did-finish-load');
    window!.emit('ready-to-show');
    expect(window!.shows).toBe(1);
    await sleep(2100);
    expect(window!.shows).toBe(1);
  });

  it('shows itself where the system never says that it is ready', async () => {
    const one = await open();
    await until(() => one.windows[0]!.shows === 1);
  });

  it('denies pages what they need not have', async () => {
    const { handlers, app } = await open();
    const asked = (permission: string, url: string, isMainFrame = true): boolean => {
      let answer = false;
      handlers.request!(
        null as never,
        permission as never,
        (granted) => {
          answer = granted;
        },
        { requestingUrl: url, isMainFrame } as never,
      );
      return answer;
    };
    expect(asked('clipboard-sanitized-write', `${origin}/`)).toBe(true);
    expect(asked('notifications', `${origin}/`)).toBe(true);
    expect(asked('notifications', `${origin}/`, false)).toBe(false);
    expect(asked('clipboard-sanitized-write', 'https://evil.example/')).toBe(false);
    expect(asked('media', `${origin}/`)).toBe(false);
    expect(handlers.check!(null, 'notifications' as never, origin, {} as never)).toBe(true);
    const cancelled = (url: string): boolean => {
      let cancel = false;
      handlers.web!({ url }, (said) => {
        cancel = said.cancel === true;
      });
      return cancel;
    };
    expect([cancelled(`${origin}/assets/a.js`), cancelled('https://evil.example/')]).toEqual([false, true]);
    expect(app.listenerCount('web-contents-created')).toBe(1);
  });

  it('serves the built page with its policy, and nothing beside it', async () => {
    const page = join(folder, 'app');
    mkdirSync(join(page, 'out', 'renderer'), { recursive: true });
    writeFileSync(join(page, 'out', 'renderer', 'index.html'), '<!doctype html>');
    writeFileSync(join(page, 'package.json'), '{}');
    // The engine beside it is this checkout.
    symlinkSync(join(root, 'main'), join(page, 'main'));
    const { handlers } = await open({ appPath: page });
    const served = await handlers.page!(new Request(`${origin}/experiments/x`));
    expect([served.status, served.headers.get('Content-Security-Policy')]).toEqual([
      200,
      expect.stringContaining("default-src 'none'"),
    ]);
    expect((await handlers.page!(new Request(`${origin}/..%2f..%2fpackage.json`))).status).toBe(404);
  });

  it('keeps the folder of the last dialog, and lets the workbench read what was chosen', async () => {
    const chosen = join(folder, 'rows.tsv');
    writeFileSync(chosen, 'text\tlabel\n');
    const one = await open({ choose: chosen });
    const choose = one.handlers.invoked.get('tritsmith:choose')!;
    const event = { senderFrame: ours, sender: null };
    expect(await choose(event, 'file')).toBe(chosen);
    await choose(event, 'file');
    expect(one.told.chosen.map(({ defaultPath }) => defaultPath)).toEqual([undefined, folder]);
    expect(await connect(one).client.files.reveal({ path: chosen })).toEqual({ shown: true });
    await until(() => one.told.shown.length > 0);
    expect(one.told.questions).toEqual([]);
    expect(await choose({ senderFrame: { parent: null, url: 'https://evil.example/' } }, 'file')).toBeNull();
  });

  it('asks the person about a path that was not chosen', async () => {
    const one = await open({ press: () => 1 });
    const foreign = join(folder, 'elsewhere');
    mkdirSync(foreign);
    expect(await connect(one).client.files.browse({ folder: foreign })).toMatchObject({ folder: foreign });
    expect(one.told.questions).toEqual([expect.stringContaining(foreign)]);
  });

  it('comes to the front instead of opening twice', async () => {
    const one = electronStandIn({ appPath: root, appData: join(folder, 'data'), second: true });
    expect(beginWindowShell(one.electron, ['--workspace', workspace])).toBe(false);
    expect(one.told.quits).toBe(1);
    const first = await open();
    let focused = false;
    first.windows[0]!.on('focused', () => (focused = true));
    first.app.emit('second-instance');
    expect(focused).toBe(true);
  });

  it('says why the workspace cannot be opened, and ends with code 1', async () => {
    await open();
    const second = await open();
    expect(second.told.errors[0]).toContain('Another workbench is working in');
    expect(second.told.exits).toEqual([1]);
    opened.pop();
  });
});

describe('while an experiment runs, a window', () => {
  async function training(options: Partial<StandInOptions> = {}): Promise<Opened & { state(): string }> {
    const one = await open(options);
    const { record } = await connect(one).client.experiments.startDemo();
    await until(() => one.told.awake.size === 1);
    const file = join(workspace, 'experiments', record.id, 'experiment.json');
    return { ...one, state: () => (JSON.parse(readFileSync(file, 'utf8')) as { state: string }).state };
  }

  it('keeps the machine awake, and asks before it closes', async () => {
    const one = await training({ press: () => 1 });
    one.windows[0]!.close();
    await sleep(20);
    expect([one.windows[0]!.closed, one.told.questions[0]]).toEqual([
      false,
      expect.stringContaining('An experiment is running.'),
    ]);
  });

  it.each([
    ['powerMonitor', (one: Opened, event: object) => one.powerMonitor.emit('shutdown', event)],
    ['query-session-end', (one: Opened, event: object) => one.windows[0]!.emit('query-session-end', event)],
  ])('saves at the end of the session (%s) without a question, and holds the system until then', async (_, end) => {
    const one = await training();
    let prevented = false;
    end(one, {
      preventDefault: () => {
        prevented = true;
      },
    });
    // The system closes the windows meanwhile.
    one.windows[0]!.close();
    expect([prevented, one.told.questions, one.windows[0]!.closed]).toEqual([true, [], true]);
    await until(() => one.told.exits.length > 0);
    expect([one.told.exits, one.state(), one.told.awake.size]).toEqual([[0], 'paused', 0]);
  });
});
