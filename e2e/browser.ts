/** The browser of the specs: an installed Chromium, Chrome or Edge, else Playwright's own download, else Debian's package. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { installedBrowsers } from '../main/shell/server/browsers.ts';
import { installDebianPackage, reasonIn } from '../main/testing/debian-package.ts';

export interface TestBrowser {
  readonly path: string;
  /** One line for a person: which one it is and where it comes from. */
  readonly description: string;
}

/** What the test command has chosen, else the first that is here; null when there is none. */
export function browserPath(): string | null {
  const chosen = process.env['TRITSMITH_TEST_BROWSER'];
  if (chosen !== undefined && chosen !== '') return chosen;
  const own = chromium.executablePath();
  return installedBrowsers()[0]?.path ?? (existsSync(own) ? own : null);
}

/** Finds a browser that starts, or installs one. Returns why not, line by line, when none can be had. */
export async function findOrInstallBrowser(tell: (line: string) => void): Promise<TestBrowser | string[]> {
  const problems: string[] = [];
  const attempt = async (path: string, origin: string): Promise<TestBrowser | null> => {
    try {
      return { path, description: `${await versionOf(path)}, ${origin}: ${path}` };
    } catch (thrown) {
      problems.push(`${path} does not start: ${String(thrown).split('\n')[0] ?? ''}`);
      return null;
    }
  };
  for (const { path } of installedBrowsers()) {
    const found = await attempt(path, 'installed on this machine');
    if (found !== null) return found;
  }
  const own = chromium.executablePath();
  if (!existsSync(own)) problems.push(...downloadOwn(tell));
  if (existsSync(own)) {
    const found = await attempt(own, "Playwright's own download");
    if (found !== null) return found;
  }
  problems.push(...installDebianPackage('chromium', tell));
  for (const { path } of installedBrowsers()) {
    const found = await attempt(path, "Debian's package, just installed");
    if (found !== null) return found;
  }
  return [...new Set(problems)];
}

async function versionOf(path: string): Promise<string> {
  const browser = await chromium.launch({ executablePath: path, args: ['--no-sandbox'], timeout: 60_000 });
  try {
    return `Chromium ${browser.version()}`;
  } finally {
    await browser.close();
  }
}

function downloadOwn(tell: (line: string) => void): string[] {
  tell('No installed Chromium, Chrome or Edge starts here. Fetching the one of Playwright ...');
  const cli = join(dirname(createRequire(import.meta.url).resolve('playwright-core/package.json')), 'cli.js');
  const { status, stderr } = spawnSync(process.execPath, [cli, 'install', 'chromium', '--no-shell', '--no-progress'], {
    encoding: 'utf8',
    timeout: 300_000,
    env: { ...process.env, PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: '10000' },
  });
  return status === 0 ? [] : [`Playwright's download failed: ${reasonIn(stderr)}`];
}
