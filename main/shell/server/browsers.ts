/** Browsers that are installed here and can show a page as an app window. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface InstalledBrowser {
  readonly name: string;
  readonly path: string;
  /** Shows `address` as an app window; resolves to whether the browser started. */
  openAppWindow(address: string): Promise<boolean>;
}

const onPath = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge', 'msedge'];
const elsewhere: Partial<Record<NodeJS.Platform, string[]>> = {
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ],
  win32: [process.env['ProgramFiles'], process.env['ProgramFiles(x86)'], process.env['LOCALAPPDATA']]
    .filter((folder) => folder !== undefined)
    .flatMap((folder) => [
      join(folder, 'Google', 'Chrome', 'Application', 'chrome.exe'),
      join(folder, 'Microsoft', 'Edge', 'Application', 'msedge.exe'),
    ]),
};

/** Every Chromium, Chrome and Edge that is installed, the preferred one first. */
export function installedBrowsers(platform: NodeJS.Platform = process.platform): InstalledBrowser[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const candidates = [
    ...(platform === 'win32' ? [] : onPath.flatMap((name) => folders.map((folder) => join(folder, name)))),
    ...(elsewhere[platform] ?? []),
  ];
  return candidates
    .filter((candidate) => existsSync(candidate))
    .map((path) => ({
      name: /edge/i.test(path) ? 'Edge' : /chromium/i.test(path) ? 'Chromium' : 'Chrome',
      path,
      openAppWindow: (address) => launch(path, [`--app=${address}`, '--window-size=1280,860']),
    }));
}

/** Resolves to whether the system's opener started. */
export function openInDefaultBrowser(address: string): Promise<boolean> {
  if (process.platform === 'darwin') return launch('open', [address]);
  return launch(process.platform === 'win32' ? 'explorer' : 'xdg-open', [address]);
}

function launch(program: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'ignore', detached: true });
    child.once('spawn', () => {
      resolve(true);
    });
    child.once('error', () => {
      resolve(false);
    });
    child.unref();
  });
}
