/** A real workbench served by `npm run serve`'s own entry in a process of its own, and a real browser that looks at it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { browserPath } from './browser.ts';
import type { NoNetwork } from './network.ts';

export const root = fileURLToPath(new URL('..', import.meta.url));
/** Milliseconds after which what a spec waits for counts as never coming, on a machine that is busy with other work too. */
export const deadline = 120_000;
export const screenshots = join(root, 'test-results', 'screenshots');
const entry = join(root, 'main', 'shell', 'server', 'main.ts');

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

/** `npm run serve` on `workspace`. */
export async function serve(workspace: string, network: NoNetwork | null = null): Promise<ServedWorkbench> {
  const [program, args] = (network ?? host).command(process.execPath, [entry, '--workspace', workspace]);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: (network ?? host).env });
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

const host: Pick<NoNetwork, 'command' | 'env' | 'browser'> = {
  command: (program, args) => [program, [...args]],
  env: process.env,
  browser: (path) => ({ path, args: [] }),
};

export interface Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the page complained about: errors in its console and exceptions. */
  readonly complaints: string[];
  close(): Promise<void>;
}

export interface VisitOptions {
  width?: number;
  height?: number;
  network?: NoNetwork | null;
}

export async function visit(link: string, options: VisitOptions = {}): Promise<Visit> {
  const chosen = browserPath();
  if (chosen === null) throw new Error('There is no Chromium, Chrome or Edge here.');
  const { path, args } = (options.network ?? host).browser(chosen);
  const browser = await chromium.launch({ executablePath: path, args: ['--no-sandbox', ...args] });
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 860 },
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const complaints = listen(page);
  await page.goto(link);
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
  return { context, page, complaints, close: () => browser.close() };
}

/** Collects what `page` complains about from now on. */
export function listen(page: Page): string[] {
  page.setDefaultTimeout(deadline);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => {
    complaints.push(String(error));
  });
  return complaints;
}

/** A picture for who looks at it: not in the whole suite, where nobody does and it takes a third of what a check of accessibility takes. */
export async function screenshot(page: Page, name: string): Promise<void> {
  if (process.env['TRITSMITH_TEST_WHOLE'] !== undefined) return;
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

export function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
