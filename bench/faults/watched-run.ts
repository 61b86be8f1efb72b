/** The command line at work on an experiment, watched from outside as far as a killer must know it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../main/shell/cli/main.ts', import.meta.url));

export class WatchedRun {
  readonly child: ChildProcess;
  /** Exit code, or null after a signal. */
  readonly ended: Promise<number | null>;
  readonly #folder: string;
  #err = '';
  #started: readonly string[] = [];
  #gone = false;

  /** Runs `tritsmith <args>`; `folder`: the experiment's. */
  constructor(folder: string, args: readonly string[]) {
    this.#folder = folder;
    this.child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#err += text;
      this.#started = [...this.#err.matchAll(/^(\S+): started$/gm)].map(([, kind]) => kind!);
    });
    this.ended = new Promise((resolve) =>
      this.child.once('close', (code) => {
        this.#gone = true;
        resolve(code);
      }),
    );
  }

  get err(): string {
    return this.#err;
  }

  /** The jobs that this process has started, in order. */
  get started(): readonly string[] {
    return this.#started;
  }

  /** Waits until `found` holds; false when the process ended first. */
  async until(found: () => boolean): Promise<boolean> {
    while (!this.#gone) {
      if (found()) return true;
      await sleep(1);
    }
    return false;
  }

  /** Whether a file of `where` (a folder below the experiment's) is being written under its temporary name. */
  isWriting(where: string): boolean {
    try {
      return readdirSync(join(this.#folder, where), { recursive: true }).some((name) =>
        /(^|[\\/])\.(.+\.[0-9a-f]{12}\.tmp|draft-[^\\/]+)$/.test(String(name)),
      );
    } catch {
      return false;
    }
  }

  /** Process id of the worker; null while there is none. */
  get worker(): number | null {
    try {
      return (JSON.parse(readFileSync(join(this.#folder, 'worker.json'), 'utf8')) as { pid: number }).pid;
    } catch {
      return null;
    }
  }
}
