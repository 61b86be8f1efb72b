/** Browsers that are installed here and can show a page as an app window. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface InstalledBrowser {
  readonly name: string;
  readonly path: string;
  openAppWindow(link: string): void;
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
      openAppWindow: (link) => {
        launch(path, [`--app=${link}`, '--window-size=1280,860']);
      },
    }));
}

export function openInDefaultBrowser(link: string): void {
  if (process.platform === 'darwin') launch('open', [link]);
  else if (process.platform === 'win32') launch('explorer', [link]);
  else launch('xdg-open', [link]);
}

/** A browser that does not start leaves the printed link to be opened by hand. */
function launch(program: string, args: readonly string[]): void {
  const child = spawn(program, args, { stdio: 'ignore', detached: true });
  child.once('error', () => undefined);
  child.unref();
}
