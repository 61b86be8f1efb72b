/** npm's packages of another system, from the lockfile with its digests. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../node.mjs';
import { run } from './run.ts';
import type { Target } from './targets.ts';

/**
 * Installs the packages of the lockfile for a target, or only those that ship, and gives the folder that `node_modules` is in. What was installed from the
 * same lockfile before is taken as it is. npm compares the digests, and runs no script.
 */
export async function installPackages(target: Target, which: 'shipping' | 'all'): Promise<string> {
  const lock = join(root, 'package-lock.json');
  const pinned = createHash('sha256').update(readFileSync(lock)).digest('hex').slice(0, 16);
  const kept = join(root, '.cache', 'packages');
  const folder = join(kept, `${target.name}-${which}-${pinned}`);
  if (existsSync(folder)) return folder;
  process.stderr.write(`Installing the packages of ${target.name} ...\n`);
  const draft = `${folder}.${String(process.pid)}.new`;
  mkdirSync(draft, { recursive: true });
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) copyFileSync(join(root, name), join(draft, name));
  const options = [`--os=${target.platform}`, `--cpu=${target.arch}`, '--prefer-offline', '--no-audit', '--no-fund'];
  const less = which === 'shipping' ? ['--omit=dev'] : [];
  await run('npm', ['ci', '--ignore-scripts', '--loglevel=error', ...options, ...less], {
    cwd: draft,
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  rmSync(folder, { recursive: true, force: true });
  renameSync(draft, folder);
  return folder;
}
