import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { remove, root, temporaryFolder } from './harness.ts';

const unit = /```\n(\[Unit\][\s\S]*?)```/.exec(readFileSync(join(root, 'docs', 'deployment.md'), 'utf8'))![1]!;
const setting = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(unit)![1]!;

// As systemd runs it: no terminal, no HOME, and signals to the main process alone.
describe.skipIf(process.platform === 'win32')('the service of docs/deployment.md', () => {
  let folder: string;
  let service: ChildProcess;
  let said = '';
  beforeAll(() => {
    folder = temporaryFolder();
    const [, ...args] = setting('ExecStart').split(' ');
    // Another port than the document's, which may be taken here.
    args[args.indexOf('--port') + 1] = '0';
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'HOME'));
    const start = join(root, 'main', 'shell', 'start.ts');
    service = spawn(process.execPath, [start, ...args, '--workspace', join(folder, 'workspace')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    for (const stream of [service.stdout!, service.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  });
  afterAll(() => {
    service.kill('SIGKILL');
    remove(folder);
  });

  const links = (): URL[] => [...said.matchAll(/http:\S+#token=\S+/g)].map(([link]) => new URL(link));
  const redeem = async ({ origin, hash }: URL): Promise<number> => {
    const body = JSON.stringify({ token: hash.slice('#token='.length) });
    return (await fetch(`${origin}/session`, { method: 'POST', headers: { origin }, body })).status;
  };

  it('prints a link that opens once, and a new one on SIGUSR2', async () => {
    await expect.poll(() => links().length, { message: said }).toBe(1);
    const { port } = links()[0]!;
    // The lines may come one by one.
    await expect.poll(() => said).toContain(`ssh -L ${port}:127.0.0.1:${port} `);
    expect([await redeem(links()[0]!), await redeem(links()[0]!)]).toEqual([200, 403]);
    service.kill('SIGUSR2');
    await expect.poll(() => links().length, { message: said }).toBe(2);
    expect(await redeem(links()[1]!)).toBe(200);
  });

  it('ends in order on SIGTERM, which goes to it alone', async () => {
    expect(setting('KillMode')).toBe('mixed');
    const ended = new Promise((resolve) => service.once('exit', (code, signal) => resolve([code, signal])));
    service.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});
