/** The window around the workbench. Everything else is the workbench's; the page gets no Node and no way out. */
import { app, BrowserWindow, dialog, ipcMain, protocol, net, session, shell } from 'electron';
import type { IpcMainEvent, IpcMainInvokeEvent } from 'electron';
import { RPCHandler } from '@orpc/server/message-port';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { TritsmithError } from '../../contract/errors.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { openApplication } from '../../workbench/application.ts';
import type { Application } from '../../workbench/application.ts';
import { workbenchRouter } from '../../workbench/procedures/router.ts';
import { contentSecurityPolicy } from '../server/page-files.ts';

const origin = 'tritsmith://workbench';
const root = fileURLToPath(new URL('../../..', import.meta.url));
const pageFolder = join(root, 'out', 'renderer');

protocol.registerSchemesAsPrivileged([
  { scheme: 'tritsmith', privileges: { standard: true, secure: true, supportFetchAPI: true } },
]);
if (!app.requestSingleInstanceLock()) app.quit();
else void app.whenReady().then(start);

async function start(): Promise<void> {
  let application: Application;
  try {
    application = await openApplication({
      shell: 'electron',
      jobs: forkPort(),
      runtime: forkPort(join(root, 'main', 'jobs', 'runtime-worker.ts')),
      reveal: (path) => {
        shell.showItemInFolder(path);
      },
    });
  } catch (thrown) {
    const { message, reason, remedy } = TritsmithError.from(thrown);
    dialog.showErrorBox(message, [reason, remedy].filter((part) => part !== undefined).join('\n'));
    app.quit();
    return;
  }
  protocol.handle('tritsmith', servePage);
  session.defaultSession.setPermissionRequestHandler((_contents, permission, answer) => {
    answer(permission === 'notifications');
  });
  connectPages(application);
  const window = openWindow();
  askBeforeClosing(window, application);
  app.on('window-all-closed', () => {
    void application.close().finally(() => {
      app.exit(0);
    });
  });
}

/** Files of the built page, each with the strict policy. */
async function servePage(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const file = join(pageFolder, /\.\w+$/.test(pathname) ? decodeURIComponent(pathname) : 'index.html');
  if (!file.startsWith(pageFolder)) return new Response('Not found.', { status: 404 });
  const response = await net.fetch(pathToFileURL(file).href);
  const headers = new Headers(response.headers);
  headers.set('Content-Security-Policy', contentSecurityPolicy(''));
  headers.set('X-Content-Type-Options', 'nosniff');
  return new Response(response.body, { status: response.status, headers });
}

function openWindow(): BrowserWindow {
  const window = new BrowserWindow({
    width: 1280,
    height: 860,
    minWidth: 900,
    minHeight: 600,
    show: false,
    webPreferences: {
      preload: join(root, 'out', 'preload', 'preload.cjs'),
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      webSecurity: true,
    },
  });
  window.webContents.setWindowOpenHandler(() => ({ action: 'deny' }));
  window.webContents.on('will-navigate', (event, url) => {
    if (!url.startsWith(`${origin}/`)) event.preventDefault();
  });
  window.webContents.on('will-attach-webview', (event) => {
    event.preventDefault();
  });
  window.once('ready-to-show', () => {
    window.show();
  });
  void window.loadURL(`${origin}/`);
  return window;
}

/** Only the main frame of our own page is heard. */
function isTrusted(event: IpcMainEvent | IpcMainInvokeEvent): boolean {
  const frame = event.senderFrame;
  return frame !== null && frame.parent === null && frame.url.startsWith(`${origin}/`);
}

function connectPages(application: Application): void {
  const handler = new RPCHandler(workbenchRouter());
  ipcMain.on('tritsmith:connect', (event) => {
    const [port] = event.ports;
    if (!isTrusted(event) || port === undefined) return;
    handler.upgrade(port, { context: { application } });
    port.start();
  });
  ipcMain.handle('tritsmith:choose', async (event, what: unknown) => {
    if (!isTrusted(event)) return null;
    const { filePaths } = await dialog.showOpenDialog({
      properties: [what === 'folder' ? 'openDirectory' : 'openFile'],
    });
    return filePaths[0] ?? null;
  });
}

function askBeforeClosing(window: BrowserWindow, application: Application): void {
  let decided = false;
  window.on('close', (event) => {
    const training = application.queue.running !== null;
    if (decided || !(training || application.downloads.busy)) return;
    event.preventDefault();
    void dialog
      .showMessageBox(window, {
        type: 'question',
        message: training ? 'An experiment is running.' : 'A model is being downloaded.',
        detail:
          'Closing pauses it: its state is saved, and it can be resumed next time. Experiments that wait are kept among the experiments.',
        buttons: ['Pause and close', 'Keep running'],
        defaultId: 0,
        cancelId: 1,
      })
      .then(({ response }) => {
        if (response !== 0) return;
        decided = true;
        window.close();
      });
  });
}
