/** A real workbench served by `npm run serve`'s own entry in a process of its own, and a real browser that looks at it. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { findBrowser } from '../main/shell/server/browsers.ts';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const screenshots = join(root, 'test-results', 'screenshots');
const entry = join(root, 'main', 'shell', 'server', 'main.ts');

/** Where the browser of the tests is: a system one, else Playwright's own download; null when there is none. */
export function browserPath(): string | null {
  const system = findBrowser();
  if (system !== null) return system.path;
  const own = chromium.executablePath();
  return existsSync(own) ? own : null;
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'tritsmith-e2e-'));
}

export interface ServedWorkbench {
  readonly link: string;
  readonly origin: string;
  readonly process: ChildProcess;
  /** Ends it as Ctrl-C would and waits for the end. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

export async function serve(workspace: string): Promise<ServedWorkbench> {
  const child = spawn(process.execPath, [entry, '--workspace', workspace], { stdio: ['ignore', 'pipe', 'pipe'] });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const link = await new Promise<string>((resolve, reject) => {
    let output = '';
    const read = (chunk: Buffer): void => {
      output += chunk.toString();
      const found = /Tritsmith is at (http\S+)/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', () => {
      reject(new Error(`The server ended before it was ready:\n${output}`));
    });
  });
  const end = (signal: NodeJS.Signals) => async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await gone;
  };
  return { link, origin: new URL(link).origin, process: child, stop: end('SIGINT'), kill: end('SIGKILL') };
}

export interface Visit {
  readonly browser: Browser;
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the page complained about: errors in its console and exceptions. */
  readonly complaints: string[];
  close(): Promise<void>;
}

export async function visit(link: string, options: { width?: number; height?: number } = {}): Promise<Visit> {
  const executablePath = browserPath();
  if (executablePath === null) throw new Error('There is no Chromium, Chrome or Edge here.');
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 860 },
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => {
    complaints.push(String(error));
  });
  await page.goto(link);
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
  return { browser, context, page, complaints, close: () => browser.close() };
}

export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

export function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
