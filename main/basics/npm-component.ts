/**
 * Installs a component with npm, which knows the user's registry and proxy. The versions and hashes of its packages are pinned by a lock file of ours, no
 * package runs a script, and the folder gets its name when everything is there.
 */
import { spawn } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TritsmithError } from '../contract/errors.ts';

export interface NpmComponent {
  /** As people know it. */
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly lockFile: string;
  /** What it takes on the disk, roughly. */
  readonly bytes: number;
  readonly folder: string;
  /** Its folder where it is there and usable. */
  find(): string | null;
}

/** Told while it is installed: bytes that are there. */
export type InstallProgress = (text: string, done: number) => void;

/** How often the size of the folder is looked at. */
const progressMilliseconds = 500;

/** npm as it started this program, else as the system finds it. */
function npmCommand(): { command: string; first: readonly string[]; shell: boolean } {
  const script = process.env['npm_execpath'];
  if (script !== undefined && /npm-cli\.[cm]?js$/.test(script))
    return { command: process.execPath, first: [script], shell: false };
  return { command: 'npm', first: [], shell: process.platform === 'win32' };
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []))
    if (entry.isFile())
      bytes += await lstat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      );
  return bytes;
}

/** Runs npm in `folder`; resolves with what it wrote to standard error and its exit code. */
function runNpm(
  folder: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ code: number | null; said: string }> {
  const { command, first, shell } = npmCommand();
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...first, ...args], {
      cwd: folder,
      shell,
      // Of Node 24, and of no other's concern: what the system trusts is trusted.
      env: { ...process.env, NODE_USE_SYSTEM_CA: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
      windowsHide: true,
      ...(signal === undefined ? {} : { signal, killSignal: 'SIGKILL' }),
    });
    // npm must not live on when this process is ended in the middle.
    const end = (): void => void child.kill('SIGKILL');
    process.once('exit', end);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-20_000);
    });
    child.once('error', (error) => {
      process.off('exit', end);
      reject(error);
    });
    child.once('close', (code) => {
      process.off('exit', end);
      resolve({ code, said });
    });
  });
}

function diskFull({ name, bytes }: NpmComponent, details: string): TritsmithError {
  return new TritsmithError('no-space', 'component.disk-full', { name, megabytes: bytes / 1e6 }, { details });
}

function failure(component: NpmComponent, said: string): TritsmithError {
  if (/ENOSPC|EDQUOT/.test(said)) return diskFull(component, said);
  const why = /UNABLE_TO_(VERIFY|GET_ISSUER)|SELF_SIGNED_CERT|CERT_UNTRUSTED/.test(said)
    ? 'certificate'
    : /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ECONNRESET|network/i.test(said)
      ? 'network'
      : /EINTEGRITY/.test(said)
        ? 'integrity'
        : 'npm';
  return new TritsmithError('not-found', 'component.not-installable', { name: component.name, why }, { details: said });
}

/**
 * Installs a component and returns its folder; one that is there already is left as it is. A stop or a failure leaves nothing.
 * @throws TritsmithError `not-found` (no npm, no network), `no-space`, `stopped`
 */
export async function installNpmComponent(
  component: NpmComponent,
  onProgress: InstallProgress = () => undefined,
  signal?: AbortSignal,
): Promise<string> {
  const { name, dependencies, lockFile, bytes, folder: target } = component;
  const stopped = (): TritsmithError => new TritsmithError('stopped', 'component.install-cancelled', { name });
  const present = component.find();
  if (present !== null) return present;
  const draft = `${target}.${String(process.pid)}.new`;
  let timer: NodeJS.Timeout | undefined;
  const report = (text: string, done: number): void => {
    onProgress(text, Math.min(done, bytes));
  };
  try {
    await mkdir(draft, { recursive: true, mode: 0o700 });
    await writeFile(join(draft, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }));
    await writeFile(join(draft, 'package-lock.json'), await readFile(lockFile));
    timer = setInterval(() => {
      void bytesIn(draft).then((done) => {
        if (timer !== undefined) report('Downloading and unpacking', done);
      });
    }, progressMilliseconds);
    const options = ['--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund', '--no-save', '--loglevel=warn'];
    const { code, said } = await runNpm(draft, ['install', ...options], signal).catch((error: unknown) => {
      if (signal?.aborted === true) throw stopped();
      throw new TritsmithError('not-found', 'component.no-npm', { name, problem: (error as Error).message });
    });
    clearInterval(timer);
    timer = undefined;
    if (signal?.aborted === true) throw stopped();
    // Where npm can't write a file whole (a full disk), it warns and ends with 0.
    if (code !== 0 || said.includes('TAR_ENTRY_ERROR')) throw failure(component, said);
    await rename(draft, target).catch(async (error: unknown) => {
      // Another process may have been faster.
      if (component.find() === null) {
        await rm(target, { recursive: true, force: true });
        await rename(draft, target).catch(() => {
          throw error;
        });
      }
    });
    const folder = component.find();
    if (folder === null) throw failure(component, `npm left no usable package in ${dirname(target)}.\n${said}`);
    report('Installed', bytes);
    return folder;
  } catch (error) {
    const known = TritsmithError.from(error);
    throw known.code === 'no-space' ? diskFull(component, known.details ?? known.message) : known;
  } finally {
    clearInterval(timer);
    await rm(draft, { recursive: true, force: true });
  }
}
