import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { remove, serve, temporaryFolder } from './harness.ts';
import type { ServedWorkbench } from './harness.ts';

let folder: string;
let workbench: ServedWorkbench;
let cookie: string;
let port: number;

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}
function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    sent.once('error', reject);
    sent.end();
  });
}
function socket(headers: Record<string, string>): Promise<'open' | 'refused'> {
  return new Promise((resolve) => {
    const client = new WebSocket(`ws://127.0.0.1:${String(port)}/procedures`, { headers });
    client.once('open', () => {
      client.terminate();
      resolve('open');
    });
    client.once('error', () => {
      resolve('refused');
    });
  });
}

beforeAll(async () => {
  folder = temporaryFolder();
  workbench = await serve(folder);
  port = Number(new URL(workbench.link).port);
});
afterAll(async () => {
  await workbench.stop();
  remove(folder);
});

describe('the loopback server', () => {
  it('opens to its one-time link once, and to nobody without it', async () => {
    expect((await get('/')).status).toBe(403);
    expect((await get('/?token=wrong')).status).toBe(403);
    const { search } = new URL(workbench.link);
    const first = await get(`/${search}`);
    expect(first.status).toBe(200);
    const [set] = first.headers['set-cookie'] ?? [];
    expect(set).toMatch(/^tritsmith-\d+=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/$/);
    cookie = set!.split(';')[0]!;
    expect((await get(`/${search}`)).status).toBe(403);
    const page = await get('/', { cookie });
    expect(page.status).toBe(200);
    expect(page.body).toContain('<div id="app">');
  });

  it('allows no script but its own, no frame, no other origin', async () => {
    const { headers } = await get('/', { cookie });
    const policy = headers['content-security-policy'] as string;
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe-eval');
    expect(headers['x-content-type-options']).toBe('nosniff');
  });

  it('refuses other host names, so that no rebound name reaches it', async () => {
    expect((await get('/', { cookie, host: `evil.example:${String(port)}` })).status).toBe(403);
    expect((await get('/', { cookie, host: `localhost:${String(port)}` })).status).toBe(200);
  });

  it('lets only its own page connect', async () => {
    const origin = `http://127.0.0.1:${String(port)}`;
    expect(await socket({ cookie, origin })).toBe('open');
    expect(await socket({ cookie, origin: 'https://evil.example' })).toBe('refused');
    expect(await socket({ cookie })).toBe('refused');
    expect(await socket({ origin })).toBe('refused');
  });

  it('takes uploads only from its own page, and only data files', async () => {
    const origin = `http://127.0.0.1:${String(port)}`;
    expect((await get('/upload?name=a.csv', { cookie, origin: 'https://evil.example' }, 'POST')).status).toBe(403);
    const refused = await get('/upload?name=a.exe', { cookie, origin }, 'POST');
    expect([refused.status, JSON.parse(refused.body)]).toMatchObject([422, { code: 'bad-input' }]);
    const taken = await get(`/upload?name=${encodeURIComponent('../../a.csv')}`, { cookie, origin }, 'POST');
    expect(JSON.parse(taken.body)).toEqual({ path: `${folder}/uploads/_.._a.csv` });
  });

  it('serves nothing outside the page', async () => {
    for (const path of ['/../package.json', '/%2e%2e/package.json', '/..%2f..%2fpackage.json', '/assets/none.js'])
      expect((await get(path, { cookie })).status).toBe(404);
  });

  it('listens on the loopback address alone', async () => {
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((each) => each?.family === 'IPv4' && !each.internal);
    if (outside === undefined) return;
    const reached = await new Promise<boolean>((resolve) => {
      const sent = request({ host: outside.address, port, path: '/' }, () => {
        resolve(true);
      });
      sent.once('error', () => {
        resolve(false);
      });
      sent.end();
    });
    expect(reached).toBe(false);
  });
});
