/** node-llama-cpp, fetched on demand into a cache folder: it is no part of the project's own installation. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const version = '3.22.1';
const platformPackages: Record<string, string> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-arm64': 'mac-arm64-metal',
  'darwin-x64': 'mac-x64',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64',
};

/** Where benchmarks keep what they fetch and generate. */
export function cacheFolder(): string {
  const folder =
    process.env.TRITSMITH_BENCH_CACHE ??
    join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tritsmith-bench');
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Folder that holds node-llama-cpp, installed first if need be. Only the CPU package is taken. */
export function peerFolder(): string {
  const folder = join(cacheFolder(), `node-llama-cpp-${version}`);
  const platform = platformPackages[`${process.platform}-${process.arch}`];
  if (platform === undefined) throw new Error('node-llama-cpp has no prebuilt package for this platform.');
  if (existsSync(join(folder, 'node_modules', '@node-llama-cpp', platform, 'package.json'))) return folder;
  process.stderr.write(`Installing node-llama-cpp ${version} (about 90 MB) into ${folder} ...\n`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private": true, "type": "module"}\n');
  const install = spawnSync(
    'npm',
    [
      'install',
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--omit=optional',
      `node-llama-cpp@${version}`,
      `@node-llama-cpp/${platform}@${version}`,
    ],
    { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' },
  );
  if (install.status !== 0) throw new Error(`node-llama-cpp could not be installed: ${install.stderr}`);
  return folder;
}
