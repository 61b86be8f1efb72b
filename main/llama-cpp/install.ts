/**
 * Installs llama.cpp with npm, which knows the user's registry and proxy. The versions and hashes of its packages are pinned by
 * resources/llama-cpp/package-lock.json, no package runs a script, and the folder gets its name when everything is there.
 */
import { spawn } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ComponentProgress } from '../contract/components.ts';
import { componentsFolder } from '../contract/data-folder.ts';
import { TritsmithError } from '../contract/errors.ts';
import { findLlamaCpp, installedBytes, llamaCppFolder, llamaCppVersion, platformPackage } from './component.ts';

const lockFile = fileURLToPath(new URL('../../resources/llama-cpp/package-lock.json', import.meta.url));

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

function diskFull(details: string): TritsmithError {
  return new TritsmithError('no-space', 'llama-cpp.disk-full', { megabytes: installedBytes / 1e6 }, { details });
}

function failure(said: string): TritsmithError {
  if (/ENOSPC|EDQUOT/.test(said)) return diskFull(said);
  const why = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ECONNRESET|network/i.test(said)
    ? 'network'
    : /EINTEGRITY/.test(said)
      ? 'integrity'
      : 'npm';
  return new TritsmithError('not-found', 'llama-cpp.not-installable', { why }, { details: said });
}

/**
 * Installs the component and returns its folder; one that is there already is left as it is. A stop or a failure leaves nothing.
 * @param onProgress bytes on the disk so far, of about `installedBytes`
 * @throws TritsmithError `unsupported` (no binary for this machine), `not-found` (no npm, no network), `no-space`, `stopped`
 */
export async function installLlamaCpp(
  onProgress: (progress: ComponentProgress) => void = () => undefined,
  signal?: AbortSignal,
  components: string = componentsFolder(),
): Promise<string> {
  const present = findLlamaCpp(components);
  if (present !== null) return present;
  const binary = platformPackage();
  if (binary === null)
    throw new TritsmithError('unsupported', 'llama-cpp.no-binary', {
      platform: process.platform,
      processor: process.arch,
    });
  const target = llamaCppFolder(components);
  const draft = `${target}.${String(process.pid)}.new`;
  let timer: NodeJS.Timeout | undefined;
  const report = (text: string, done: number): void => {
    onProgress({ name: 'llama.cpp', text, done: Math.min(done, installedBytes), total: installedBytes });
  };
  try {
    await mkdir(draft, { recursive: true, mode: 0o700 });
    const dependencies = { 'node-llama-cpp': llamaCppVersion, [`@node-llama-cpp/${binary}`]: llamaCppVersion };
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
      throw new TritsmithError('not-found', 'llama-cpp.no-npm', { problem: (error as Error).message });
    });
    clearInterval(timer);
    timer = undefined;
    if (signal?.aborted === true) throw stopped();
    // Where npm can't write a file whole (a full disk), it warns and ends with 0.
    if (code !== 0 || said.includes('TAR_ENTRY_ERROR')) throw failure(said);
    await rename(draft, target).catch(async (error: unknown) => {
      // Another process may have been faster.
      if (findLlamaCpp(components) === null) {
        await rm(target, { recursive: true, force: true });
        await rename(draft, target).catch(() => {
          throw error;
        });
      }
    });
    const folder = findLlamaCpp(components);
    if (folder === null) throw failure(`npm left no usable package in ${dirname(target)}.\n${said}`);
    report('Installed', installedBytes);
    return folder;
  } catch (error) {
    const known = TritsmithError.from(error);
    throw known.code === 'no-space' ? diskFull(known.details ?? known.message) : known;
  } finally {
    clearInterval(timer);
    await rm(draft, { recursive: true, force: true });
  }
}

function stopped(): TritsmithError {
  return new TritsmithError('stopped', 'llama-cpp.install-cancelled');
}
