/**
 * `npm run package:test [-- --platform linux-x64|linux-arm64] [--archive <file>] [--emulator <program>]`: makes the archive, unpacks it into a root file system with
 * nothing else but the C and C++ library and a shell, and uses it there: read-only, in a path with blanks and umlauts, without HOME, as two other users at once, in a
 * network namespace without a route. What the machine does not lend (namespaces, other users) is said and left out; the rest is shown all the same. On linux-x64,
 * linux-arm64 is run by QEMU's user emulation (`emulation.ts`).
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { armLibraries, armLoader, emulated, isEmulated } from './emulation.ts';
import { toJavaScript } from './javascript.ts';
import { makePackage } from './package.ts';
import { root } from '../node.mjs';
import { run } from './run.ts';
import { nodePackage, type Target, targetNamed } from './targets.ts';

/** As README.txt of the archive says. */
export const glibcFloor = 34;
/** What the archive may take from the system, and a shell for its scripts. */
const libraries = ['libc', 'libm', 'libdl', 'libpthread', 'librt', 'libgcc_s', 'libstdc++'];
/** Users that this machine need not know. */
const users = [54_321, 54_322];

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** The newest glibc that a binary asks for, as the second number of its version. */
export function glibcNeeded(bytes: Buffer): number {
  const asked = [...bytes.toString('latin1').matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  return Math.max(0, ...asked);
}

/** The binary below a folder that asks for the newest glibc. */
export function newestGlibc(folder: string): { readonly minor: number; readonly path: string } {
  let most = { minor: 0, path: '' };
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(node|so(\.\d+)*)$|^node$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const minor = glibcNeeded(readFileSync(path));
    if (minor > most.minor) most = { minor, path };
  }
  return most;
}

/** Packages of an unpacked archive, and its Node, for which it holds no terms. */
export function withoutTerms(folder: string, target = targetNamed('linux-x64')): string[] {
  const packagesIn = (modules: string): string[] =>
    readdirSync(modules).flatMap((entry) => {
      const names = entry.startsWith('@')
        ? readdirSync(join(modules, entry)).map((name) => `${entry}/${name}`)
        : [entry];
      return names.flatMap((name) => {
        const inner = join(modules, name, 'node_modules');
        return [name, ...(existsSync(inner) ? packagesIn(inner) : [])];
      });
    });
  const listed = readFileSync(join(folder, 'licences', 'README.txt'), 'utf8');
  return [nodePackage(target), ...packagesIn(join(folder, 'engine', 'node_modules'))].filter((name) => {
    const text = `${name.replaceAll('/', '-')}.txt`;
    const path = join(folder, 'licences', text);
    return !listed.includes(`(${text})`) || !existsSync(path) || readFileSync(path).length < 100;
  });
}

function checkTerms(folder: string, target: Target): void {
  const lacking = withoutTerms(folder, target);
  if (!existsSync(join(folder, 'licences', 'libc++.txt'))) lacking.push('libc++');
  if (lacking.length > 0) throw new Error(`The archive holds no terms of ${lacking.join(', ')}.`);
  say('ok: every package, Node and the addon come with their terms');
}

function checkFloor(folder: string): void {
  const { minor, path } = newestGlibc(folder);
  if (minor > glibcFloor) throw new Error(`${path} asks for glibc 2.${String(minor)}.`);
  say(`ok: no binary asks for more than glibc 2.${String(minor)}`);
}

/** Copies the libraries and a shell of this machine, where the loader looks for them; for another processor also the libraries of its own. */
async function furnish(place: string, target: Target): Promise<void> {
  const cached = await run('ldconfig', ['-p']);
  const take = (path: string, to: string): void => {
    mkdirSync(dirname(join(place, to)), { recursive: true });
    copyFileSync(path, join(place, to));
    chmodSync(join(place, to), 0o755);
  };
  for (const name of libraries) {
    const [, file, path] =
      new RegExp(`^\\s*(${name.replaceAll('+', '\\+')}\\.so\\.\\d+) \\(libc6,x86-64\\b.* => (.*)$`, 'm').exec(cached) ??
      [];
    if (file === undefined || path === undefined) throw new Error(`This machine has no ${name}.`);
    take(path, `lib/${file}`);
    if (target.arch === 'arm64') take(join(armLibraries, file), `lib/aarch64-linux-gnu/${file}`);
  }
  if (target.arch === 'arm64') take(join(armLibraries, armLoader), `lib/${armLoader}`);
  take('/lib64/ld-linux-x86-64.so.2', 'lib64/ld-linux-x86-64.so.2');
  take('/bin/sh', 'bin/sh');
  for (const name of ['dev', 'proc', 'tmp']) mkdirSync(join(place, name));
}

/** What a process in the fresh root is started with; the shell's `$1` is the root, the rest is run in it. */
const enter = `set -e
place=$1; shift
mount --make-rprivate /
mount --bind "$place" "$place"
mount --rbind /dev "$place/dev"
mount -t proc proc "$place/proc"
mount -t tmpfs -o mode=1777 tmpfs "$place/tmp"
mount -o remount,bind,ro "$place"
ip link set lo up
`;
const isRoot = process.getuid?.() === 0;
const namespaces = [
  '--mount',
  '--net',
  '--pid',
  '--fork',
  '--kill-child',
  ...(isRoot ? [] : ['--user', '--map-root-user']),
];

/** Why the machine does not lend a root file system and a network of one's own, tried in the furnished `place`; null where it does. */
function forbidden(place: string): string | null {
  const script = `${enter}exec chroot "$place" /bin/sh -c 'exit 7'`;
  const { status, stderr, error } = spawnSync('unshare', [...namespaces, 'sh', '-c', script, 'sh', place], {
    encoding: 'utf8',
  });
  return status === 7 ? null : (error?.message ?? stderr.trim());
}

/** Runs to the end, and tells what it says; resolves to the exit code. */
function through(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  tell: (text: string) => void,
): Promise<number | null> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', tell);
  return new Promise((done, reject) => {
    child.once('error', reject);
    child.once('close', done);
  });
}

/**
 * Uses what `unpack` leaves in the folder that it is given (one folder, as an archive holds it) as a user would, with `.ci/packaging/inside.ts`. `tell` hears a line
 * for each thing that was shown, and for what this machine does not allow to show. Whether all that was tried is so.
 */
export async function prove(
  unpack: (folder: string) => Promise<void> | void,
  tell: (text: string) => void,
  target: Target = targetNamed('linux-x64'),
): Promise<boolean> {
  const place = mkdtempSync(join(tmpdir(), 'tritsmith-proof-'));
  chmodSync(place, 0o755);
  const say = (line: string): void => {
    tell(`${line}\n`);
  };
  try {
    const home = 'opt/Größe & Maß';
    mkdirSync(join(place, home), { recursive: true });
    await unpack(join(place, home));
    const name = readdirSync(join(place, home))[0]!;
    await furnish(place, target);
    mkdirSync(join(place, 'proof'));
    const script = readFileSync(join(root, '.ci', 'packaging', 'inside.ts'), 'utf8');
    writeFileSync(join(place, 'proof', 'inside.mjs'), toJavaScript(script, '.ci/packaging/inside.ts', existsSync));
    const inside = (from: string, user: number, what: string): string[] => [
      `${from}/${home}/${name}/engine/bin/node`,
      `${from}/proof/inside.mjs`,
      what,
      `${from}/${home}/${name}`,
      `${from}/tmp/${String(user)}`,
    ];
    const why = forbidden(place);
    if (why !== null) {
      say(`NOT SHOWN HERE: a fresh root, no network, other users. This machine does not lend namespaces (${why}).`);
      const [program, ...args] = inside(place, 0, 'all');
      const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'HOME'));
      return (await through(program!, args, { ...env, PROOF_PLAIN: '1' }, tell)) === 0;
    }
    if (!isRoot) say('NOT SHOWN HERE: other users than the owner of the files; that takes root.');
    // Two users at once where there may be two; the second only opens its workbench.
    const as = (user: number, what: string): string =>
      `chroot ${isRoot ? `--userspec=${String(user)}:${String(user)}` : ''} "$place" ${inside('', user, what)
        .map((arg) => `'${arg}'`)
        .join(' ')}`;
    const second = isRoot ? `${as(users[1]!, 'open')} &\nother=$!\n` : '';
    const wait = isRoot ? 'wait $other' : ':';
    const commands = `${enter}${second}${as(users[0]!, 'all')}\n${wait}`;
    const all = [...namespaces, 'sh', '-c', commands, 'sh', place];
    const env = { PATH: process.env['PATH'], ...(isEmulated() && { PROOF_EMULATED: '1' }) };
    return (await through('unshare', all, env, tell)) === 0;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      archive: { type: 'string' },
      platform: { type: 'string', default: 'linux-x64' },
      emulator: { type: 'string', default: 'qemu-aarch64' },
    },
  });
  const target = targetNamed(values.platform);
  if (process.platform !== 'linux' || process.arch !== 'x64' || target.platform !== 'linux') {
    say(
      `NOT SHOWN HERE: ${target.name} on ${process.platform}-${process.arch} (docs/release.md says how it was tried).`,
    );
  } else {
    const begun = performance.now();
    const out = join(root, 'dist');
    mkdirSync(out, { recursive: true });
    const archive = values.archive === undefined ? await makePackage(target, out) : resolve(values.archive);
    const passed =
      target.arch === 'arm64' && !isEmulated()
        ? await emulated(values.emulator, [import.meta.filename, '--platform', target.name, '--archive', archive])
        : await prove(
            async (folder) => {
              await run('tar', ['-xzf', archive, '-C', folder, '--no-same-owner']);
              checkFloor(folder);
              checkTerms(join(folder, basename(archive, '.tar.gz')), target);
            },
            (text) => void process.stdout.write(text),
            target,
          );
    if (!isEmulated())
      say(`${passed ? 'ok' : 'FAILED'}: ${archive} (${((performance.now() - begun) / 1000).toFixed(0)} s)`);
    process.exitCode = passed ? 0 : 1;
  }
}
