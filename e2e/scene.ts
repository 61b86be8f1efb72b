/** The set-up that the specs share: a workspace of their own, a workbench on it and a page that looks at it, in either shell. */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { browserPath } from './browser.ts';
import { electronBinary } from '../main/shell/electron/binary.ts';
import { openElectron } from './electron.ts';
import { remove, serve, temporaryFolder, visit } from './harness.ts';
import { type NoNetwork, withoutNetwork } from './network.ts';

/** `TRITSMITH_TEST_SHELL=electron` runs the specs through Electron, where its binary is. */
export const shell = process.env['TRITSMITH_TEST_SHELL'] === 'electron' ? 'electron' : 'browser';

/** Like `describe`, skipped where there is nothing to look with. */
export const describeInBrowser = describe.skipIf((shell === 'electron' ? electronBinary() : browserPath()) === null);

export interface SceneOptions {
  /** `none`: workbench and browser have nothing but loopback, and trying to reach more fails the specs. Default: the machine's own. */
  readonly network?: 'none';
  /** Called with the temporary folder before the workbench starts. */
  readonly prepare?: (folder: string) => void | Promise<void>;
}

interface OpenPage {
  readonly page: Page;
  readonly origin: string;
  readonly complaints: readonly string[];
  end(how: 'stop' | 'kill'): Promise<void>;
}

export class Scene {
  folder = '';
  readonly complaints: string[] = [];
  #open: OpenPage | null = null;
  #network: NoNetwork | null = null;

  get workspace(): string {
    return join(this.folder, 'workspace');
  }
  get page(): Page {
    return this.#now.page;
  }
  get origin(): string {
    return this.#now.origin;
  }
  get #now(): OpenPage {
    if (this.#open === null) throw new Error('The scene is not open.');
    return this.#open;
  }

  async begin(options: SceneOptions): Promise<void> {
    this.folder = temporaryFolder();
    mkdirSync(this.workspace, { mode: 0o700 });
    await options.prepare?.(this.folder);
    if (options.network === 'none') this.#network = await withoutNetwork(this.folder);
    await this.#begin();
  }

  /** Ends workbench and page (`stop`: as Ctrl-C would; `kill`: with SIGKILL) and opens both again on the same workspace. */
  async reopen(how: 'stop' | 'kill'): Promise<void> {
    await this.#end(how);
    await this.#begin();
  }

  async end(): Promise<void> {
    await this.#end('kill');
    const attempts = this.#network?.attempts() ?? [];
    this.#network?.end();
    remove(this.folder);
    expect(attempts, 'what was tried to reach outside').toEqual([]);
  }

  /** Leaves a picture of the page and a trace of what was done to it, for `npx playwright-core show-trace`, and says where. */
  async keepEvidence(): Promise<void> {
    if (this.#open === null) return;
    const folder = mkdtempSync(join(tmpdir(), 'tritsmith-failed-'));
    const { page } = this.#open;
    process.stderr.write(`Picture and trace of the page that failed are in ${folder}\n`);
    await page.screenshot({ path: join(folder, 'page.png'), timeout: 10_000 });
    await page.context().tracing.stopChunk({ path: join(folder, 'trace.zip') });
    await page.context().tracing.startChunk();
  }

  async #begin(): Promise<void> {
    this.#open = shell === 'electron' ? await openElectron(this.workspace) : await this.#openInBrowser();
    await this.#open.page.context().tracing.start({ snapshots: true });
  }

  async #openInBrowser(): Promise<OpenPage> {
    const workbench = await serve(this.workspace, this.#network);
    const visitor = await visit(workbench.link, { network: this.#network });
    return {
      page: visitor.page,
      origin: workbench.origin,
      complaints: visitor.complaints,
      end: async (how) => {
        await visitor.close();
        await workbench[how]();
      },
    };
  }

  async #end(how: 'stop' | 'kill'): Promise<void> {
    if (this.#open === null) return;
    const { complaints, end } = this.#open;
    this.#open = null;
    await end(how);
    this.complaints.push(...complaints);
  }

  /** How another program is started where the workbench is: in its network, if that is one of its own. */
  beside(program: string, args: readonly string[]): [string, string[]] {
    return this.#network?.command(program, args) ?? [program, [...args]];
  }

  /** What the pages complained about so far. */
  allComplaints(): string[] {
    return [...this.complaints, ...(this.#open?.complaints ?? [])];
  }
}

/** A scene for all specs of the file, opened before and ended after them. */
export function openScene(options: SceneOptions = {}): Scene {
  const scene = new Scene();
  beforeAll(async () => {
    if ((shell === 'electron' ? electronBinary() : browserPath()) !== null) await scene.begin(options);
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail')
      await scene.keepEvidence().catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
  });
  afterAll(async () => {
    if (scene.folder !== '') await scene.end();
  });
  return scene;
}
