/**
 * `npm run prebuild:test [-- <platform>]`: the tests of native/ against a prebuilt addon, in a copy of that folder without a compiled one. What is not this
 * machine's system runs under QEMU's user emulation (Debian: qemu-user, libc6-arm64-cross, libstdc++6-arm64-cross), with packages of that system.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findNode, root } from '../node.mjs';
import { prebuild } from './prebuild.ts';
import { installPackages } from './packages.ts';
import { nodeBinary, nodePackage, type Target, targetNamed } from './targets.ts';

/** Tests that compile something or emulate themselves say nothing about the addon. */
const tests = ['kernels', 'runtime', 'training'].map((name) => `native/${name}.test.ts`);

const isHere = ({ platform, arch }: Target): boolean => platform === process.platform && arch === process.arch;

/** Resolves to whether all tests pass. */
export async function testAddon(target: Target): Promise<boolean> {
  if (!isHere(target) && target.name !== 'linux-arm64')
    throw new Error(`Nothing here runs programs for ${target.name}.`);
  await prebuild([target]);
  const place = join(root, '.cache', 'prebuild', `tests-${target.name}`);
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  cpSync(join(root, 'native'), join(place, 'native'), {
    recursive: true,
    filter: (path) => !path.startsWith(join(root, 'native', 'build')),
  });
  writeFileSync(join(place, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const modules = join(place, 'node_modules');
  if (isHere(target)) symlinkSync(join(root, 'node_modules'), modules);
  else symlinkSync(join(await installPackages(target, 'all'), 'node_modules'), modules);
  const node = isHere(target) ? findNode()! : join(modules, nodePackage(target), nodeBinary(target));
  const program = isHere(target) ? [node] : ['qemu-aarch64', '-cpu', 'max', node];
  // Threads, because a process of another system would start only where the kernel knows QEMU (binfmt_misc).
  const options = ['--pool=threads', '--maxWorkers=1', '--testTimeout=600000'];
  const vitest = [join(modules, 'vitest', 'vitest.mjs'), 'run', ...options, ...tests];
  const child = spawn(program[0]!, [...program.slice(1), ...vitest], {
    cwd: place,
    stdio: 'inherit',
    env: { ...process.env, QEMU_LD_PREFIX: '/usr/aarch64-linux-gnu' },
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve(code === 0);
    });
  });
}

if (import.meta.main) process.exitCode = (await testAddon(targetNamed(process.argv[2] ?? 'linux-x64'))) ? 0 : 1;
