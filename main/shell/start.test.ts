/** Why a workbench does not start, told by the real entries in processes of their own: in words, with exit code 1, and nothing is left behind. */
import Database from 'better-sqlite3';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountSmallDisk, noSmallDisk } from '../testing/small-disk.ts';
import { openWorkspace } from '../workbench/workspace/workspace.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-start-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A user that this machine need not know. */
const stranger = 54_321;

const entries = [
  ['npm start', './start.ts', '--no-browser'],
  ['npm run serve', './server/main.ts'],
] as const;

/** What the entry says until it ends by itself, or has started. */
async function start(
  [, entry, ...options]: (typeof entries)[number],
  args: string[],
  user?: number,
): Promise<{ code: number | null; said: string }> {
  const script = fileURLToPath(new URL(entry, import.meta.url));
  const child = spawn(process.execPath, [script, ...options, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(user === undefined ? {} : { uid: user, gid: user, env: { PATH: process.env['PATH'] } }),
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('Tritsmith is at')) child.kill('SIGKILL');
    });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

/** What the entry says when it does not start, which it must with code 1 and without a stack. */
async function refusal(...what: Parameters<typeof start>): Promise<string> {
  const { code, said } = await start(...what);
  expect([code, said]).toEqual([1, expect.not.stringMatching(/^\s+at /m)]);
  return said;
}

describe.each(entries.map((entry) => ({ entry, name: entry[0] })))('$name', ({ entry }) => {
  it('on a full disk opens a workspace that was there', async ({ skip }) => {
    const disk = mountSmallDisk(40);
    if (disk === null) return skip(noSmallDisk);
    try {
      const workspace = join(disk.folder, 'workspace');
      (await openWorkspace({ folder: workspace, mode: 'write', purpose: 'test' })).close();
      disk.fill();
      expect((await start(entry, ['--workspace', workspace])).said).toContain('Tritsmith is at');
    } finally {
      disk.unmount();
    }
  });

  it('on a full disk says so where there was no workspace yet, and what to do', async ({ skip }) => {
    const disk = mountSmallDisk(1);
    if (disk === null) return skip(noSmallDisk);
    try {
      disk.fill();
      const said = await refusal(entry, ['--workspace', join(disk.folder, 'workspace')]);
      expect(said).toMatch(/^The disk is full\.\n.*ENOSPC.*\nFree some space/);
    } finally {
      disk.unmount();
    }
  });

  it('on a port that is taken says to choose another', async () => {
    const other = createServer();
    await once(other.listen(0, '127.0.0.1'), 'listening');
    const { port } = other.address() as AddressInfo;
    try {
      const said = await refusal(entry, ['--workspace', join(folder, 'workspace'), '--port', String(port)]);
      expect(said).toContain(`The port ${String(port)} cannot be used.`);
      expect(said).toContain('Choose another one with --port, or leave it out.');
    } finally {
      other.close();
    }
  });

  it('leaves a workspace of a newer version as it is', async () => {
    const workspace = join(folder, 'workspace');
    (await openWorkspace({ folder: workspace, mode: 'write', purpose: 'test' })).close();
    const path = join(workspace, 'workbench.sqlite');
    const database = new Database(path);
    database.pragma('user_version = 99');
    database.close();
    const before = readFileSync(path);
    const said = await refusal(entry, ['--workspace', workspace]);
    expect(said).toMatch(/99/);
    expect(said).toMatch(/newer/);
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(workspace).filter((name) => name.endsWith('.lock'))).toEqual([]);
  });

  it.skipIf(process.getuid?.() !== 0)('does not enter the workspace of another user', async ({ skip }) => {
    const read = ['-e', 'fs.readFileSync(process.argv[1])', fileURLToPath(new URL(entry[1], import.meta.url))];
    if (spawnSync(process.execPath, read, { uid: stranger, gid: stranger }).status !== 0)
      return skip('other users cannot read this clone');
    const workspace = join(folder, 'workspace');
    chmodSync(folder, 0o755);
    (await openWorkspace({ folder: workspace, mode: 'write', purpose: 'test' })).close();
    const said = await refusal(entry, ['--workspace', workspace], stranger);
    expect(said).toContain(workspace);
    expect(said).toMatch(/EACCES|permission/i);
    expect(said).toContain('--workspace');
  });
});
