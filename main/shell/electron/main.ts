/** The window around the workbench. Everything else is the workbench's; the page gets no Node and no way out. */
import { app, BrowserWindow, dialog, ipcMain, Menu, type OpenDialogOptions, protocol, session, shell } from 'electron';
import { RPCHandler } from '@orpc/server/message-port';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TritsmithError } from '../../contract/errors.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { type Application, openApplication } from '../../workbench/interface/application.ts';
import { workbenchRouter } from '../../workbench/interface/procedures/router.ts';
import { defaultWorkspaceFolder, prepareWorkspace } from '../../workbench/workspace/workspace-folder.ts';
import { closeOnRequest } from '../closing.ts';
import { contentType, pageHeaders } from '../server/page-files.ts';
import { isOurAddress, isTrustedSender, mayRequest, mayUse, origin, pageFile, scheme } from './policy.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const pageFolder = join(root, 'out', 'renderer');
const reloadPauseMilliseconds = 10_000;
const { values } = parseArgs({
  args: process.argv.slice(1),
  strict: false,
  options: { workspace: { type: 'string' } },
});

// What the app writes is for its user alone.
process.umask(0o077);
protocol.registerSchemesAsPrivileged([
  { scheme, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } },
]);
// Windows shows notifications of a program that has no installer under its path only.
if (process.platform === 'win32') app.setAppUserModelId(process.execPath);
// Chromium would look for new versions of its own parts.
for (const name of ['disable-background-networking', 'disable-component-update', 'disable-domain-reliability'])
  app.commandLine.appendSwitch(name);

try {
  const folder = typeof values.workspace === 'string' ? values.workspace : defaultWorkspaceFolder();
  const paths = prepareWorkspace(folder);
  // The window's profile belongs to the workspace, and so does "one window at a time".
  const profile = join(paths.folder, 'window');
  mkdirSync(profile, { recursive: true, mode: 0o700 });
  app.setPath('userData', profile);
  if (!app.requestSingleInstanceLock()) app.quit();
  else void app.whenReady().then(() => start(paths.folder));
} catch (thrown) {
  void app.whenReady().then(() => {
    giveUp(thrown);
  });
}

async function start(folder: string): Promise<void> {
  let application: Application;
  try {
    application = await openApplication({
      folder,
      shell: 'electron',
      paths: { kind: 'granted', shipped: [join(root, 'resources')], ask: askToRead },
      jobs: forkPort(),
      runtime: forkPort(fileURLToPath(new URL('../../jobs/helper-worker.ts', import.meta.url))),
      reveal: (path) => {
        shell.showItemInFolder(path);
      },
    });
  } catch (thrown) {
    giveUp(thrown);
    return;
  }
  restrict();
  protocol.handle(scheme, servePage);
  connectPages(application);
  const window = openWindow();
  askBeforeClosing(window, application);
  app.on('second-instance', () => {
    if (window.isMinimized()) window.restore();
    window.focus();
  });
  // Ctrl-C in the terminal and the end of the user's session pause what runs, without a question.
  const { end } = closeOnRequest(application, {
    say: (line) => {
      process.stderr.write(`${line}\n`);
    },
    exit: (code) => {
      app.exit(code);
    },
  });
  app.on('window-all-closed', () => void end());
  // Cmd-Q and the like close the windows without the event above.
  app.on('will-quit', (event) => {
    event.preventDefault();
    void end();
  });
  // Windows, at the end of the user's session: as much is saved as there is time for.
  window.on('session-end', () => void end());
}

function giveUp(thrown: unknown): void {
  const { message, reason, remedy } = TritsmithError.from(thrown);
  dialog.showErrorBox(message, [reason, remedy].filter((part) => part !== undefined).join('\n'));
  app.exit(1);
}

/** No way out for any page of this process: no navigation, no window, no permission, no request that leaves the machine. */
function restrict(): void {
  const { defaultSession } = session;
  defaultSession.setPermissionRequestHandler((_contents, permission, answer, { requestingUrl, isMainFrame }) => {
    answer(isMainFrame && mayUse(permission, requestingUrl));
  });
  defaultSession.setPermissionCheckHandler((_contents, permission, requester) => mayUse(permission, `${requester}/`));
  defaultSession.setDevicePermissionHandler(() => false);
  defaultSession.webRequest.onBeforeRequest(({ url }, answer) => {
    answer({ cancel: !mayRequest(url) });
  });
  app.on('web-contents-created', (_event, contents) => {
    contents.setWindowOpenHandler(() => ({ action: 'deny' }));
    contents.setWebRTCIPHandlingPolicy('disable_non_proxied_udp');
    contents.on('will-frame-navigate', (event) => {
      if (!isOurAddress(event.url)) event.preventDefault();
    });
    contents.on('will-redirect', (event) => {
      event.preventDefault();
    });
    contents.on('will-attach-webview', (event) => {
      event.preventDefault();
    });
  });
  // The menu that comes by default opens pages of the web.
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      ...(process.platform === 'darwin' ? [{ role: 'appMenu' as const }] : []),
      { role: 'editMenu' },
      { role: 'viewMenu' },
      { role: 'windowMenu' },
    ]),
  );
}

/** Files of the built page, each with the strict policy. */
async function servePage(request: Request): Promise<Response> {
  const file = pageFile(pageFolder, request.url);
  if (file === null || request.method !== 'GET') return new Response('Not found.', { status: 404 });
  try {
    const headers = { ...pageHeaders(''), 'Content-Type': contentType(file) ?? 'application/octet-stream' };
    return new Response(await readFile(file), { headers });
  } catch {
    return new Response('Not found.', { status: 404 });
  }
}

function openWindow(): BrowserWindow {
  const window = new BrowserWindow({
    width: 1280,
    height: 860,
    minWidth: 900,
    minHeight: 600,
    show: false,
    autoHideMenuBar: true,
    webPreferences: {
      preload: join(root, 'out', 'preload', 'preload.cjs'),
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      webSecurity: true,
      webviewTag: false,
      // Its dictionaries would be downloaded.
      spellcheck: false,
    },
  });
  window.once('ready-to-show', () => {
    window.show();
  });
  // Running experiments do not need the page: it is loaded again, unless it breaks down again at once.
  let lastReload = -Infinity;
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    if (reason === 'clean-exit' || performance.now() - lastReload < reloadPauseMilliseconds) return;
    lastReload = performance.now();
    window.webContents.reload();
  });
  void window.loadURL(`${origin}/`);
  return window;
}

function connectPages(application: Application): void {
  const handler = new RPCHandler(workbenchRouter());
  ipcMain.on('tritsmith:connect', (event) => {
    const [port] = event.ports;
    if (port === undefined) return;
    if (!isTrustedSender(event.senderFrame)) {
      port.close();
      return;
    }
    handler.upgrade(port, { context: { application } });
    port.start();
  });
  ipcMain.handle('tritsmith:choose', async (event, what: unknown) => {
    if (!isTrustedSender(event.senderFrame)) return null;
    const options: OpenDialogOptions = { properties: [what === 'folder' ? 'openDirectory' : 'openFile'] };
    const window = BrowserWindow.fromWebContents(event.sender);
    const { filePaths } = await (window === null
      ? dialog.showOpenDialog(options)
      : dialog.showOpenDialog(window, options));
    const [path] = filePaths;
    if (path !== undefined) application.paths.grant(path);
    return path ?? null;
  });
  // The preload alone can send this, and only what `webUtils` told it of a file that the person dropped.
  ipcMain.handle('tritsmith:dropped', (event, path: unknown) => {
    if (!isTrustedSender(event.senderFrame) || typeof path !== 'string' || path === '') return null;
    application.paths.grant(path);
    return path;
  });
}

/** A path that the page sent, and the person gave it neither by a dialog nor by dropping it. */
async function askToRead(path: string): Promise<boolean> {
  const [window] = BrowserWindow.getAllWindows();
  if (window === undefined) return false;
  const { response } = await dialog.showMessageBox(window, {
    type: 'question',
    message: 'The page asks to use a file or folder that you have not chosen.',
    detail: `${path}\n\nAllow it if you have just typed this path. What is allowed stays allowed.`,
    buttons: ['Refuse', 'Allow'],
    defaultId: 0,
    cancelId: 0,
    noLink: true,
  });
  return response === 1;
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
          'Closing pauses it: its state is saved, and it can be resumed next time. Experiments that wait keep their places.',
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
