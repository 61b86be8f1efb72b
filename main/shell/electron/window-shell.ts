/**
 * The window around the workbench, which is a process of its own. Here are only the window, dialogs, what the person granted, menu, notifications, keeping the
 * machine awake, and an orderly end. Of Electron comes in as a parameter what is used of it; the page gets no Node and no way out.
 */
import type * as Electron from 'electron';
import { existsSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { userDataFolder } from '../../contract/data-folder.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { forkPort } from '../../jobs/fork-port.ts';
import { utilityPort } from '../../jobs/utility-port.ts';
import { closeOnRequest } from '../closing.ts';
import { contentType, pageHeaders } from '../server/page-files.ts';
import { appId } from './app-id.ts';
import { type Places, placesOf, profileFolder, runsInElectron } from './places.ts';
import { isOurAddress, isTrustedSender, mayRequest, mayUse, origin, pageFile, scheme } from './policy.ts';
import { openWorkbenchLine, type WorkbenchLine } from './workbench-line.ts';

export type ElectronParts = Pick<
  typeof Electron,
  | 'app'
  | 'BrowserWindow'
  | 'dialog'
  | 'ipcMain'
  | 'Menu'
  | 'powerMonitor'
  | 'powerSaveBlocker'
  | 'protocol'
  | 'session'
  | 'shell'
  | 'utilityProcess'
>;

const reloadPauseMilliseconds = 10_000;
/** Some window systems never say that a page is ready to be shown. */
const latestShowMilliseconds = 2000;

/** Before Electron is ready. Returns at once; false where another window of this workspace is open, and comes to the front. */
export function beginWindowShell(electron: ElectronParts, args: readonly string[]): boolean {
  const { app, protocol } = electron;
  const { values } = parseArgs({ args: [...args], strict: false, options: { workspace: { type: 'string' } } });
  const workspace = typeof values.workspace === 'string' ? resolve(values.workspace) : undefined;
  protocol.registerSchemesAsPrivileged([
    { scheme, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } },
  ]);
  // Windows shows notifications of a program without an installer under its path only.
  if (process.platform === 'win32') app.setAppUserModelId(app.isPackaged ? appId : process.execPath);
  // Chromium would look for new versions of its own parts.
  for (const name of ['disable-background-networking', 'disable-component-update', 'disable-domain-reliability'])
    app.commandLine.appendSwitch(name);
  const profile = profileFolder(process.platform, app.getPath('appData'), workspace ?? userDataFolder());
  mkdirSync(profile, { recursive: true, mode: 0o700 });
  app.setPath('userData', profile);
  if (!app.requestSingleInstanceLock()) {
    process.stderr.write('Tritsmith is open already with this workspace; its window comes to the front.\n');
    app.quit();
    return false;
  }
  void app
    .whenReady()
    .then(() => new WindowShell(electron, workspace).open())
    .catch((thrown: unknown) => {
      const { message, reason, remedy } = TritsmithError.from(thrown);
      electron.dialog.showErrorBox(message, [reason, remedy].filter((part) => part !== undefined).join('\n'));
      app.exit(1);
    });
  return true;
}

class WindowShell {
  readonly #electron: ElectronParts;
  readonly #workspace: string | undefined;
  readonly #places: Places;
  #line!: WorkbenchLine;
  #window: Electron.BrowserWindow | null = null;
  /** The person or the system wants the end: nobody is asked any more. */
  #decided = false;
  #awake: number | null = null;
  #lastFolder: string | undefined;

  constructor(electron: ElectronParts, workspace: string | undefined) {
    this.#electron = electron;
    this.#workspace = workspace;
    const { app } = electron;
    this.#places = placesOf({
      platform: process.platform,
      appPath: app.getAppPath(),
      resources: app.isPackaged ? process.resourcesPath : null,
      env: process.env,
      exists: existsSync,
    });
    // For the workers of a workbench that is a part of Electron (`plain-node.ts`).
    if (this.#places.node !== null) process.env['TRITSMITH_NODE'] = this.#places.node;
  }

  async open(): Promise<void> {
    const { app, powerMonitor } = this.#electron;
    this.#line = await this.#startWorkbench('any');
    this.#restrict();
    this.#electron.protocol.handle(scheme, (request) => this.#servePage(request));
    this.#connectPages();
    const window = this.#openWindow();
    this.#window = window;
    this.#askBeforeClosing(window);
    app.on('second-instance', () => {
      if (window.isMinimized()) window.restore();
      window.focus();
    });
    const running = (): string | null => (this.#line.busy.training ? 'an experiment' : null);
    // Ctrl-C in the terminal and the end of the user's session pause what runs, without a question.
    const { end } = closeOnRequest(
      {
        close: () => this.#line.close(),
        queue: {
          get running() {
            return running();
          },
        },
      },
      {
        say: (line) => {
          process.stderr.write(`${line}\n`);
        },
        exit: (code) => {
          app.exit(code);
        },
      },
    );
    const endNow = (event?: { preventDefault(): void }): void => {
      // The system waits a while for whoever says no; the end comes from here once all is saved.
      event?.preventDefault();
      this.#decided = true;
      void end();
    };
    app.on('window-all-closed', () => {
      endNow();
    });
    // Cmd-Q and the like close the windows without the event above.
    app.on('will-quit', endNow);
    // The end of the user's session: Windows asks each window first, and is told to wait only where there is something to save.
    window.on('query-session-end', (event) => {
      endNow(this.#line.busy.training || this.#line.busy.downloading ? event : undefined);
    });
    window.on('session-end', () => {
      endNow();
    });
    powerMonitor.on('shutdown', endNow);
  }

  /** `plain`: on the pinned Node alone, after it broke down as a part of Electron. */
  #startWorkbench(where: 'any' | 'plain'): Promise<WorkbenchLine> {
    const { utilityProcess, shell } = this.#electron;
    const script = this.#places.script('main/shell/electron/workbench');
    const utility = (path: string, name: string) => utilityPort(utilityProcess, this.#places.script(path), name);
    const onPlainNode = forkPort(script, this.#places.node ?? undefined);
    const inElectron = where === 'any' && runsInElectron(script, process.features.typescript);
    return openWorkbenchLine({
      places: [...(inElectron ? [utilityPort(utilityProcess, script, 'Tritsmith workbench')] : []), onPlainNode],
      lent: {
        question: utility('main/jobs/worker', 'Tritsmith inspection'),
        row: utility('main/jobs/helper-worker', 'Tritsmith models'),
      },
      ...(this.#workspace === undefined ? {} : { workspace: this.#workspace }),
      mayRead: (path) => this.#askToRead(path),
      showInFolder: (path) => {
        shell.showItemInFolder(path);
      },
      onBusy: ({ training }) => {
        this.#keepAwake(training);
      },
      onDied: (said) => void this.#askWhatNow(said),
    });
  }

  /** A machine that falls asleep while nobody types would stop a training of many hours. */
  #keepAwake(training: boolean): void {
    const { powerSaveBlocker } = this.#electron;
    if (training) this.#awake ??= powerSaveBlocker.start('prevent-app-suspension');
    else if (this.#awake !== null) {
      powerSaveBlocker.stop(this.#awake);
      this.#awake = null;
    }
  }

  async #askWhatNow(said: string): Promise<void> {
    const { app, dialog } = this.#electron;
    process.stderr.write(`The workbench has ended unexpectedly.\n${said}\n`);
    const options: Electron.MessageBoxOptions = {
      type: 'error',
      message: 'The workbench has ended unexpectedly.',
      detail: `What ran can be resumed from its last saved state.\n\n${said.slice(-600)}`,
      buttons: ['Start it again', 'Close'],
      defaultId: 0,
      cancelId: 1,
      noLink: true,
    };
    const { response } = await (this.#window === null
      ? dialog.showMessageBox(options)
      : dialog.showMessageBox(this.#window, options));
    if (response !== 0) {
      app.exit(1);
      return;
    }
    try {
      this.#line = await this.#startWorkbench('plain');
      this.#window?.webContents.reload();
    } catch (thrown) {
      const { message, reason, remedy } = TritsmithError.from(thrown);
      dialog.showErrorBox(message, [reason, remedy].filter((part) => part !== undefined).join('\n'));
      app.exit(1);
    }
  }

  /** No way out for any page of this process: no navigation, no window, no permission, no request that leaves the machine. */
  #restrict(): void {
    const { app, Menu, session } = this.#electron;
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
        { role: 'fileMenu' },
        { role: 'editMenu' },
        { role: 'viewMenu' },
        { role: 'windowMenu' },
      ]),
    );
  }

  /** Files of the built page, each with the strict policy. */
  async #servePage(request: Request): Promise<Response> {
    const file = pageFile(this.#places.page, request.url);
    if (file === null || request.method !== 'GET') return new Response('Not found.', { status: 404 });
    try {
      const headers = { ...pageHeaders(''), 'Content-Type': contentType(file) ?? 'application/octet-stream' };
      return new Response(await readFile(file), { headers });
    } catch {
      return new Response('Not found.', { status: 404 });
    }
  }

  #openWindow(): Electron.BrowserWindow {
    const window = new this.#electron.BrowserWindow({
      width: 1280,
      height: 860,
      minWidth: 900,
      minHeight: 600,
      show: false,
      autoHideMenuBar: true,
      // Elsewhere the program brings its icon along, and an installed deb too.
      ...(process.platform === 'linux' ? { icon: join(this.#places.page, 'icon.png') } : {}),
      webPreferences: {
        preload: this.#places.preload,
        contextIsolation: true,
        sandbox: true,
        nodeIntegration: false,
        webSecurity: true,
        webviewTag: false,
        // Its dictionaries would be downloaded.
        spellcheck: false,
      },
    });
    const show = (): void => {
      if (!window.isDestroyed() && !window.isVisible()) window.show();
    };
    let shown = false;
    const showOnce = (): void => {
      if (!shown) show();
      shown = true;
    };
    window.once('ready-to-show', showOnce);
    window.webContents.once('did-finish-load', showOnce);
    setTimeout(showOnce, latestShowMilliseconds).unref();
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

  #connectPages(): void {
    const { BrowserWindow, dialog, ipcMain } = this.#electron;
    ipcMain.on('tritsmith:connect', (event) => {
      const [port] = event.ports;
      if (port === undefined) return;
      if (isTrustedSender(event.senderFrame)) this.#line.addPage(port);
      else port.close();
    });
    ipcMain.handle('tritsmith:choose', async (event, what: unknown) => {
      if (!isTrustedSender(event.senderFrame)) return null;
      const options: Electron.OpenDialogOptions = {
        properties: [what === 'folder' ? 'openDirectory' : 'openFile'],
        // Else each dialog begins in Downloads.
        ...(this.#lastFolder === undefined ? {} : { defaultPath: this.#lastFolder }),
      };
      const window = BrowserWindow.fromWebContents(event.sender);
      const { filePaths } = await (window === null
        ? dialog.showOpenDialog(options)
        : dialog.showOpenDialog(window, options));
      const [path] = filePaths;
      if (path === undefined) return null;
      this.#lastFolder = dirname(path);
      this.#line.grant(path);
      return path;
    });
    // The preload alone can send this, and only what `webUtils` told it of a file that the person dropped.
    ipcMain.handle('tritsmith:dropped', (event, path: unknown) => {
      if (!isTrustedSender(event.senderFrame) || typeof path !== 'string' || path === '') return null;
      this.#line.grant(path);
      return path;
    });
  }

  /** A path that the page sent, and the person gave it neither by a dialog nor by dropping it. */
  async #askToRead(path: string): Promise<boolean> {
    if (this.#window === null) return false;
    const { response } = await this.#electron.dialog.showMessageBox(this.#window, {
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

  #askBeforeClosing(window: Electron.BrowserWindow): void {
    window.on('close', (event) => {
      const { training, downloading } = this.#line.busy;
      if (this.#decided || !(training || downloading)) return;
      event.preventDefault();
      void this.#electron.dialog
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
          this.#decided = true;
          window.close();
        });
    });
  }
}
