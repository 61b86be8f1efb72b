import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { remove, serve, type ServedWorkbench, temporaryFolder } from './harness.ts';

let folder: string;
let workbench: ServedWorkbench;
let session: string;
let origin: string;
let port: number;

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}
interface Sent {
  method?: 'GET' | 'POST' | 'PUT';
  headers?: Record<string, string>;
  body?: string;
}
function send(path: string, { method = 'GET', headers = {}, body }: Sent = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    sent.once('error', reject);
    sent.end(body);
  });
}
const redeem = (credentials: object, headers: Record<string, string> = { origin }): Promise<Answer> =>
  send('/session', { method: 'POST', headers, body: JSON.stringify(credentials) });
const upload = (name: string, headers: Record<string, string>, body = 'text,label\na,b\n'): Promise<Answer> =>
  send(`/upload?name=${encodeURIComponent(name)}`, { method: 'POST', headers, body });
const own = (): Record<string, string> => ({ origin, authorization: `Bearer ${session}` });

/** How the WebSocket of procedures answers: `open`, or the status with which it is refused. */
function socket(protocols: string[], headers: Record<string, string>, path = '/procedures'): Promise<string> {
  return new Promise((resolve) => {
    const client = new WebSocket(`ws://127.0.0.1:${String(port)}${path}`, protocols, { headers });
    client.once('open', () => {
      client.terminate();
      resolve('open');
    });
    client.once('error', (error) => {
      resolve(/\d{3}/.exec(error.message)?.[0] ?? error.message);
    });
  });
}

beforeAll(async () => {
  folder = temporaryFolder();
  workbench = await serve(folder);
  ({ origin } = workbench);
  port = Number(new URL(workbench.link).port);
});
afterAll(async () => {
  await workbench.stop();
  remove(folder);
});

describe('the one-time link', () => {
  it('carries its token where browsers send it to nobody', () => {
    expect(workbench.link).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]{32}$/);
  });

  it('is exchanged for a session once; missing, wrong and replayed tokens are refused', async () => {
    const token = workbench.link.split('token=')[1]!;
    for (const wrong of [
      {},
      { token: '' },
      { token: 'wrong' },
      { token: [token] },
      { token: `${token}x` },
      { session: token },
    ])
      expect((await redeem(wrong)).status, JSON.stringify(wrong)).toBe(403);
    expect((await redeem({ token }, {})).status).toBe(403);
    expect((await redeem({ token }, { origin: 'https://evil.example' })).status).toBe(403);
    const first = await redeem({ token });
    expect(first.status).toBe(200);
    expect(first.headers['cache-control']).toBe('no-store');
    expect(first.headers['set-cookie']).toBeUndefined();
    ({ session } = JSON.parse(first.body) as { session: string });
    expect(session).toMatch(/^[\w-]{43}$/);
    expect((await redeem({ token })).status).toBe(403);
    expect((await redeem({ session })).status).toBe(200);
    expect((await redeem({ session: `${session.slice(0, -1)}~` })).status).toBe(403);
  });

  it('is in no argument of a process, and the session in no file', () => {
    if (process.platform !== 'linux') return;
    const token = workbench.link.split('token=')[1]!;
    const commands = execFileSync('ps', ['-eo', 'args', '--no-headers'], { encoding: 'utf8' });
    expect(commands).toContain('main/shell/server/main.ts');
    expect(commands).not.toContain(token);
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) {
        const content = readFileSync(join(entry.parentPath, entry.name), 'latin1');
        for (const secret of [token, session]) expect(content.includes(secret), entry.name).toBe(false);
      }
  });
});

describe('the loopback server', () => {
  it('allows no script but its own, no frame, no other origin', async () => {
    const { status, headers, body } = await send('/');
    expect(status).toBe(200);
    expect(body).toContain('<div id="app">');
    const policy = headers['content-security-policy'] as string;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe-eval|script-src[^;]*unsafe/);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
    });
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });

  it('refuses other host names, so that no rebound name reaches it', async () => {
    for (const host of [
      'evil.example',
      `evil.example:${String(port)}`,
      '127.0.0.1',
      `127.0.0.1.evil.example:${String(port)}`,
      `0.0.0.0:${String(port)}`,
    ]) {
      expect((await send('/', { headers: { host } })).status, host).toBe(403);
      expect((await redeem({ session }, { origin, host })).status, host).toBe(403);
      expect(await socket(['tritsmith', session], { origin, host }), host).toBe('403');
    }
    expect((await send('/', { headers: { host: `localhost:${String(port)}` } })).status).toBe(200);
  });

  it('says to whoever comes through a tunnel from another port which one to forward', async () => {
    const { status, body } = await send('/', { headers: { host: `localhost:${String(port - 1)}` } });
    expect(status).toBe(403);
    expect(body).toContain(`ssh -L ${String(port)}:127.0.0.1:${String(port)} `);
    expect((await send('/', { headers: { host: 'evil.example' } })).body).toBe('This address is not served here.\n');
  });

  it('lets only its own page connect, with its session', async () => {
    expect(await socket(['tritsmith', session], { origin })).toBe('open');
    for (const other of [
      'https://evil.example',
      'null',
      'http://127.0.0.1',
      `https://127.0.0.1:${String(port)}`,
      `http://127.0.0.1:${String(port)}.evil.example`,
      'file://',
    ])
      expect(await socket(['tritsmith', session], { origin: other }), other).toBe('403');
    expect(await socket(['tritsmith', session], {}), 'without Origin').toBe('403');
    expect(await socket([], { origin }), 'without session').toBe('403');
    expect(await socket(['tritsmith'], { origin })).toBe('403');
    expect(await socket(['tritsmith', 'wrong'], { origin })).toBe('403');
    expect(await socket(['tritsmith', session], { origin }, '/other')).toBe('403');
  });

  it('ends a connection that sends a message beyond 16 MiB, and serves the others', async () => {
    const client = new WebSocket(`ws://127.0.0.1:${String(port)}/procedures`, ['tritsmith', session], {
      headers: { origin },
    });
    await new Promise((resolve) => client.once('open', resolve));
    const closed = new Promise<number>((resolve) => client.once('close', resolve));
    client.on('error', () => undefined);
    client.send(Buffer.alloc(17 * 1024 * 1024, 0x20));
    expect(await closed).toBe(1009);
    expect(await socket(['tritsmith', session], { origin })).toBe('open');
  });

  it('survives what is no request', async () => {
    for (const path of ['//', '/%', '/%00', '/\\..\\..\\package.json', `/${'a'.repeat(8000)}`])
      expect((await send(path)).status, path.slice(0, 20)).toBeGreaterThanOrEqual(200);
    for (const raw of [
      'GET\r\n\r\n',
      '\0\0\0\0',
      `GET / HTTP/1.1\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`,
      'POST /session HTTP/1.1\r\nContent-Length: 99\r\n\r\n{',
    ])
      await new Promise<void>((resolve) => {
        const line = connect(port, '127.0.0.1', () => line.end(raw));
        line.on('error', () => undefined).once('close', () => resolve());
        setTimeout(() => line.destroy(), 500);
      });
    const huge = await redeem({ token: 'x'.repeat(100_000) }).catch(() => null);
    expect(huge?.status ?? 403).toBe(403);
    expect((await send('/session', { method: 'PUT', headers: own() })).status).toBe(405);
    expect((await send('/')).status).toBe(200);
  });

  it('serves nothing outside the page', async () => {
    for (const path of [
      '/../package.json',
      '/%2e%2e/package.json',
      '/..%2f..%2fpackage.json',
      '/assets/..%5c..%5c..%5cpackage.json',
      '/assets/none.js',
    ])
      expect((await send(path)).status, path).toBe(404);
  });

  it('listens on the loopback address alone', async () => {
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((each) => each?.family === 'IPv4' && !each.internal);
    if (outside === undefined) return;
    const reached = await new Promise<boolean>((resolve) => {
      const line = connect(port, outside.address, () => {
        resolve(true);
        line.destroy();
      });
      line.once('error', () => {
        resolve(false);
      });
    });
    expect(reached).toBe(false);
  });
});

describe('an upload', () => {
  it('is taken from its own page only', async () => {
    expect((await upload('a.csv', { authorization: `Bearer ${session}` })).status).toBe(403);
    expect((await upload('a.csv', { ...own(), origin: 'https://evil.example' })).status).toBe(403);
    expect((await upload('a.csv', { origin })).status).toBe(403);
    expect((await upload('a.csv', { origin, authorization: 'Bearer wrong' })).status).toBe(403);
    expect(existsSync(join(folder, 'uploads'))).toBe(false);
  });

  it('stays in its folder whatever its name, and only data files are taken', async () => {
    for (const name of ['../../a.csv', '..\\..\\a.csv', '/etc/a.csv', '.a.csv', 'a\0.csv', `${'x'.repeat(400)}.csv`]) {
      const taken = await upload(name, own());
      const { path } = JSON.parse(taken.body) as { path: string };
      expect(path.startsWith(join(folder, 'uploads'))).toBe(true);
      expect(path.slice(join(folder, 'uploads').length)).toMatch(/^\/[0-9a-f]{16}\/[^/\\]{1,120}$/);
      expect(basename(path)).not.toMatch(/^\./);
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
    for (const name of ['a.exe', 'a.csv.sh', '', 'csv', '.csv/'])
      expect(JSON.parse((await upload(name, own())).body), name).toMatchObject({ code: 'bad-input' });
  });

  it('never takes the place of another: the same file has one path, a changed one another', async () => {
    const path = async (text: string): Promise<string> =>
      (JSON.parse((await upload('b.csv', own(), text)).body) as { path: string }).path;
    const first = await path('text,label\na,b\n');
    expect(await path('text,label\na,b\n')).toBe(first);
    const second = await path('text,label\na,c\n');
    expect(second).not.toBe(first);
    expect(readFileSync(first, 'utf8')).toBe('text,label\na,b\n');
    expect(readFileSync(second, 'utf8')).toBe('text,label\na,c\n');
  });

  it('that is larger than the disk is refused before a byte of it is read; one of unknown size, too', async () => {
    const large = await new Promise<string>((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port,
          path: '/upload?name=a.csv',
          method: 'POST',
          headers: { ...own(), 'content-length': String(2 ** 50) },
        },
        (response) => {
          response.setEncoding('utf8').once('data', resolve);
        },
      );
      sent.once('error', reject);
      sent.flushHeaders();
      setTimeout(() => sent.destroy(), 100_000).unref();
    });
    expect(JSON.parse(large)).toMatchObject({ code: 'no-space' });
    expect(JSON.parse((await upload('a.csv', { ...own(), 'transfer-encoding': 'chunked' })).body)).toMatchObject({
      code: 'bad-input',
    });
    expect(readdirSync(join(folder, 'uploads')).filter((name) => name.endsWith('.new'))).toEqual([]);
  });
});
