/** Builds the interface when its sources are newer than what was built; an installed copy without sources is taken as it is. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TritsmithError } from '../../contract/errors.ts';

export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const pageFolder = join(root, 'out', 'renderer');

/** What is bundled into the window's shell besides the page and the contract. */
export const roomsOfWindow = ['preload', 'main/basics', 'main/jobs', 'main/shell'];

/**
 * Builds the page, and with `window` also looks whether Electron's main process and preload are current. Returns whether
 * it had to build. Throws `internal` with the build's output when that fails.
 */
export function buildPageWhenDue(tell: (line: string) => void, what: 'page' | 'window' = 'page'): boolean {
  const sources = join(root, 'renderer');
  if (!existsSync(sources)) return false;
  const stamp = join(root, 'out', what === 'page' ? 'renderer.stamp' : 'window.stamp');
  const shared = [sources, join(root, 'main', 'contract')];
  const bundled = roomsOfWindow.map((room) => join(root, room));
  const now = digest(what === 'page' ? shared : [...shared, ...bundled]);
  if (existsSync(join(pageFolder, 'index.html')) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now)
    return false;
  if (!takeTurn()) return false;
  tell('Building the interface (about 10 seconds) ...\n');
  const vite = join(root, 'node_modules', 'electron-vite', 'bin', 'electron-vite.js');
  const built = spawnSync(process.execPath, [vite, 'build', '--logLevel', 'warn'], { cwd: root, encoding: 'utf8' });
  rmdirSync(turn);
  if (built.status !== 0)
    throw new TritsmithError('internal', 'server.page-not-built', undefined, {
      details: `${built.stdout}${built.stderr}`,
    });
  writeFileSync(stamp, now);
  return true;
}

const turn = join(root, 'out', 'building');

/** Two workbenches that start at once build one after the other; returns false when another one has just built. */
function takeTurn(): boolean {
  mkdirSync(join(root, 'out'), { recursive: true });
  const begun = Date.now();
  for (let waited = false; ; waited = true) {
    try {
      mkdirSync(turn);
      if (!waited) return true;
      rmdirSync(turn);
      return false;
    } catch {
      // One that was killed in the middle leaves its folder behind.
      if (Date.now() - begun > 120_000) rmSync(turn, { recursive: true, force: true });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
}

function digest(folders: readonly string[]): string {
  const hash = createHash('sha256');
  const files = [join(root, 'electron.vite.config.ts'), join(root, 'package-lock.json')];
  for (const folder of folders.filter((each) => existsSync(each)))
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile() && !entry.name.includes('.test.')) files.push(join(entry.parentPath, entry.name));
  for (const file of files.sort()) hash.update(file.slice(root.length)).update('\0').update(readFileSync(file));
  return hash.digest('hex');
}
