/**
 * Programs for ARM on a Linux of another processor, by QEMU's user emulation: in a user namespace of its own, where the kernel (6.7 or newer) hands them to QEMU and
 * no other process notices. QEMU must be static, since it is also used in root file systems that do not hold it: Debian 13's package qemu-user. (QEMU 7.2 is too old:
 * ONNX Runtime crashes in it.) The C and C++ library for ARM come from Debian's packages libc6-arm64-cross and libstdc++6-arm64-cross.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';

export const armLibraries = '/usr/aarch64-linux-gnu/lib';
export const armLoader = 'ld-linux-aarch64.so.1';

const mark = 'TRITSMITH_EMULATED';
/** Whether this process is one that `emulated` has started. */
export const isEmulated = (): boolean => process.env[mark] !== undefined;

/** How an ELF file for ARM begins, and which of its bits count, as binfmt_misc wants it. `F`: QEMU is opened now, and need not be there later. */
const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`;
const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`;
const begin = `echo >&3; exec 3>&-
read -r ready
mount --make-rprivate /
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || exit 1
printf '%s' ":aarch64:M::$magic:$mask:$emulator:F" > /proc/sys/fs/binfmt_misc/register || exit 1
exec "$@"`;

/** Runs a script of Node (`args`) where programs for ARM run too, on this terminal; whether it ended with 0. Throws an Error where there is no such QEMU. */
export async function emulated(emulator: string, args: readonly string[]): Promise<boolean> {
  const found = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', emulator], { encoding: 'utf8' }).stdout.trim();
  if (found === '') throw new Error(`There is no ${emulator}: name QEMU's user emulation for ARM with --emulator.`);
  const child = spawn('unshare', ['--user', '--mount', 'sh', '-c', begin, 'sh', process.execPath, ...args], {
    stdio: ['pipe', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, magic, mask, emulator: found, [mark]: '1' },
  });
  const ended = new Promise<boolean>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve(code === 0);
    });
  });
  // It is in its namespace once it says so.
  await Promise.race([ended, once(child.stdio[3] as Readable, 'data')]);
  const own = `/proc/${String(child.pid)}`;
  // Root keeps all users, so that several may use the archive; others are themselves alone.
  const isRoot = process.getuid!() === 0;
  if (!isRoot) writeFileSync(`${own}/setgroups`, 'deny');
  writeFileSync(`${own}/uid_map`, isRoot ? '0 0 65536' : `0 ${String(process.getuid!())} 1`);
  writeFileSync(`${own}/gid_map`, isRoot ? '0 0 65536' : `0 ${String(process.getgid!())} 1`);
  (child.stdin as Writable).end('ready\n');
  return ended;
}
