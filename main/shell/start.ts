/**
 * `npm start [-- --workspace <folder>] [--no-browser] [--port <number>]`, and the start script of a portable archive: the workbench in Electron where its
 * binary can be had, else in an app window of an installed browser, else in the default browser. `--no-browser` prints a link instead.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { environmentForElectron } from '../basics/plain-node.ts';
import { electronBinary, electronFolder, electronPath } from './electron/binary.ts';
import { runWindow } from './electron/run-window.ts';
import { isSandboxRestricted } from './electron/sandbox.ts';
import { failureText } from './failure-text.ts';
import { installedBrowsers, openInDefaultBrowser } from './server/browsers.ts';
import { openBrowserShell } from './server/browser-shell.ts';
import { handOff, type HandOff } from './server/hand-off.ts';
import { buildPageWhenDue, root } from './server/page-build.ts';
import { tunnel } from './server/server.ts';

process.umask(0o077);
const fetchMilliseconds = 600_000;
const { values } = parseArgs({
  options: { workspace: { type: 'string' }, port: { type: 'string' }, 'no-browser': { type: 'boolean' } },
});
const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** Electron's binary, fetched by its own installer on the first start (it checks the digest); a line says why where it can't be had. */
async function findElectron(): Promise<string | null> {
  const folder = electronFolder();
  if (folder === null && electronBinary() === null) return null;
  if (process.platform === 'linux' && !process.env['DISPLAY'] && !process.env['WAYLAND_DISPLAY']) {
    say('There is no screen here for a window of our own.');
    return null;
  }
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    say("Electron's sandbox does not work for root, so the workbench opens in a browser.");
    return null;
  }
  if (process.platform === 'linux' && isSandboxRestricted(electronPath(folder))) {
    say("This system keeps Electron's sandbox from working (Ubuntu's AppArmor), so the workbench opens in a browser.");
    return null;
  }
  const present = electronBinary();
  if (present !== null || folder === null) return present;
  say('Fetching Electron for the first start (about 120 MB) ...');
  const installer = spawn(process.execPath, [join(folder, 'install.js')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: fetchMilliseconds,
    windowsHide: true,
  });
  let complaint = '';
  installer.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(0, 4000);
  });
  const signal = await new Promise((resolve) => {
    installer.once('close', (_code, ended) => {
      resolve(ended);
    });
  });
  const fetched = electronBinary();
  if (fetched === null)
    say(
      `Electron cannot be had now (${signal === null ? reasonIn(complaint) : 'it took longer than ten minutes'}), so the workbench opens in a browser. The next start tries again.`,
    );
  return fetched;
}

function reasonIn(complaint: string): string {
  if (/ENOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED|ETIMEDOUT|fetch failed/.test(complaint)) return 'no connection';
  const lines = complaint.split('\n').map((line) => line.trim());
  return (lines.find((line) => /error/i.test(line)) ?? lines[0] ?? 'its installer failed').slice(0, 160);
}

/** Opens the window and ends with it; where Electron breaks down before that (no sandbox, a library that lacks), says so and returns. */
async function openWindow(electron: string): Promise<void> {
  buildPageWhenDue((line) => process.stderr.write(line), 'window');
  const args = values.workspace === undefined ? [root] : [root, '--workspace', values.workspace];
  const { code, breakdown } = await runWindow(electron, args, environmentForElectron(process.env, process.execPath));
  if (breakdown === null) process.exit(code);
  say(`Electron does not start on this system (${breakdown}), so the workbench opens in a browser.`);
}

async function openInBrowser(): Promise<void> {
  const browser = installedBrowsers()[0] ?? null;
  let waiting: HandOff | null = null;
  let first = true;
  const end = (): void => {
    waiting?.end();
    waiting = null;
  };
  process.once('exit', end);
  const present = async (link: string): Promise<void> => {
    const isFirst = first;
    first = false;
    if (!isFirst || values['no-browser'] === true) {
      say(`Tritsmith is at ${link}`);
      if (isFirst) say(`From another machine, first: ${tunnel(new URL(link).port)}`);
      return;
    }
    waiting = handOff(link, browser?.path ?? null);
    const { address } = waiting;
    const started = browser === null ? await openInDefaultBrowser(address) : await browser.openAppWindow(address);
    if (started)
      say(`Tritsmith opens in ${browser?.name ?? 'the default browser'}. If it does not, press Enter for a link.`);
    else say(`Tritsmith is at ${link}`);
  };
  await openBrowserShell({
    ...(values.workspace === undefined ? {} : { workspace: values.workspace }),
    port: Number(values.port ?? 0),
    present: (link) => void present(link),
    onOpened: end,
  });
}

try {
  const electron = values['no-browser'] === true ? null : await findElectron();
  if (electron !== null) await openWindow(electron);
  await openInBrowser();
} catch (thrown) {
  process.stderr.write(failureText(thrown));
  process.exitCode = 1;
}
