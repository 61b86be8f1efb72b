/** Installs a package of Debian where tests need it and may have it. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** Returns why not, line by line; nothing where it is installed then. */
export function installDebianPackage(name: string, tell: (line: string) => void): string[] {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^ID=debian$/m.test(release)) return ["Debian's package is for Debian only."];
  if (process.getuid?.() !== 0) return [`Debian's package can be installed by root only: apt-get install ${name}`];
  tell(`Installing the Debian package ${name} ...`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-q'], { env, timeout: 120_000 });
  const { status, stderr } = spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', name], {
    env,
    encoding: 'utf8',
    timeout: 600_000,
  });
  return status === 0 ? [] : [`apt-get install ${name} failed: ${reasonIn(stderr)}`];
}

/** The line of a program's complaint that says most. */
export function reasonIn(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return (
    lines.find((line) => /error|E:|ENOTFOUND|EAI_AGAIN|refused|timed out/i.test(line)) ??
    lines.at(-1) ??
    ''
  ).trim();
}
