/**
 * The NEON kernel without an ARM machine: the check program, cross-compiled and run under QEMU's user emulation. Debian and Ubuntu have both tools as
 * `g++-aarch64-linux-gnu` and `qemu-user`; without them the test skips. Speed says nothing here, results do.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('.', import.meta.url));
const compiler = 'aarch64-linux-gnu-g++';
const emulator = 'qemu-aarch64';
const works = (program: string) => spawnSync(program, ['--version']).status === 0;
const options = '-std=c++17 -O2 -static -ffp-contract=off -fno-math-errno -march=armv8.2-a+dotprod+fp16 -I.'.split(' ');

/** The check program for ARM, built once for these sources. */
function program(): string {
  const files = ['threads', 'kernels', 'products', 'runtime', 'training', 'checks']
    .flatMap((part) => readdirSync(join(root, part)).map((name) => `${part}/${name}`))
    .filter((path) => /\.(cc|h)$/.test(path) && !/avx|binding|training\/(?!elementwise)/.test(path))
    .sort();
  const hash = createHash('sha256').update(options.join(' '));
  for (const path of files) hash.update(path).update(readFileSync(join(root, path)));
  const folder = join(root, 'build', 'arm');
  const binary = join(folder, hash.digest('hex').slice(0, 16));
  if (existsSync(binary)) return binary;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const sources = files.filter((path) => path.endsWith('.cc'));
  const build = spawnSync(compiler, [...options, ...sources, '-o', `${binary}.partial`, '-lpthread'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (build.status !== 0) throw new Error(build.stderr);
  renameSync(`${binary}.partial`, binary);
  return binary;
}

describe.skipIf(!works(compiler) || !works(emulator))('on ARM (emulated)', () => {
  it(
    'the NEON kernel equals the scalar definition exactly, and Q6_K rows keep their values',
    { timeout: 600_000 },
    () => {
      const binary = program();
      const check = spawnSync(emulator, ['-cpu', 'max', binary, 'kernels'], { encoding: 'utf8' });
      expect(check.stdout + check.stderr).toBe('0 wrong products\n');
      const kernels = spawnSync(emulator, ['-cpu', 'max', binary, 'names'], { encoding: 'utf8' });
      expect(kernels.stdout).toBe('neon-dot portable\n');
    },
  );
});
