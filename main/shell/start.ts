/** `npm start`: the workbench in Electron where its binary is, else in an app window of an installed browser, else in the default browser. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { TritsmithError } from '../contract/errors.ts';
import { installedBrowsers, openInDefaultBrowser } from './server/browsers.ts';
import { openBrowserShell } from './server/browser-shell.ts';
import { buildPageWhenDue, root } from './server/page-build.ts';

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** Path of Electron's binary, fetched by its own installer on the first start; null where it can't be had. */
async function electronBinary(): Promise<string | null> {
  const folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  const names: Partial<Record<NodeJS.Platform, string>> = {
    darwin: 'Electron.app/Contents/MacOS/Electron',
    win32: 'electron.exe',
  };
  const binary = join(folder, 'dist', names[process.platform] ?? 'electron');
  if (existsSync(binary)) return binary;
  if (process.platform === 'linux' && !process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY']) return null;
  say('Fetching Electron for the first start ...');
  const fetched = spawn(process.execPath, [join(folder, 'install.js')], { stdio: 'ignore', timeout: 180_000 });
  await new Promise((resolve) => fetched.once('close', resolve));
  return existsSync(binary) ? binary : null;
}

try {
  const electron = await electronBinary();
  if (electron !== null) {
    buildPageWhenDue((line) => process.stderr.write(line));
    const window = spawn(electron, [root], { stdio: 'inherit' });
    window.once('close', (code) => process.exit(code ?? 0));
  } else {
    const browser = installedBrowsers()[0] ?? null;
    say(
      `Electron's binary is not here, so the workbench opens in ${browser === null ? 'the default browser' : browser.name}.`,
    );
    await openBrowserShell({
      port: 0,
      present: (link) => {
        say(`Tritsmith is at ${link}`);
        if (browser === null) openInDefaultBrowser(link);
        else browser.openAppWindow(link);
      },
    });
  }
} catch (thrown) {
  const { message, reason, remedy, details } = TritsmithError.from(thrown);
  say([message, reason, remedy, details].filter((part) => part !== undefined).join('\n'));
  process.exitCode = 1;
}
