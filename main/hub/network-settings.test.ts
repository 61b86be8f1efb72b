import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { proxyInUse, proxySettings } from './network-settings.ts';

const script = fileURLToPath(new URL('./fixtures/ask-hub.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tritsmith-network-'));
const key = join(folder, 'key.pem');
const certificate = join(folder, 'certificate.pem');
const openssl = spawnSync('openssl', [
  ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=hub.example'],
  ...['-addext', 'subjectAltName=DNS:hub.example', '-keyout', key, '-out', certificate],
]).status;

/** What a hub behind a company's proxy answers; and the proxy, which alone knows where hub.example is. */
let hub: Server;
let plainHub: Server;
let proxy: Server;
const tunnels: string[] = [];
const portOf = (server: Server): number => (server.address() as AddressInfo).port;

beforeAll(async () => {
  plainHub = createServer((_, response) => response.end('hello from the plain hub'));
  const tls = openssl === 0 ? { key: readFileSync(key), cert: readFileSync(certificate) } : {};
  hub = createTlsServer(tls, (_, response) => response.end('hello from the hub'));
  proxy = createServer((_, response) => response.end('hello from the proxy'));
  proxy.on('connect', (request, socket) => {
    tunnels.push(request.url ?? '');
    const target = connect(portOf(request.url === 'hub.example:443' ? hub : plainHub), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      socket.pipe(target).pipe(socket);
    });
    for (const end of [socket, target]) end.on('error', () => undefined);
  });
  for (const server of [plainHub, hub, proxy]) await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterAll(() => {
  for (const server of [plainHub, hub, proxy]) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true });
});

/** The answer to a process with this environment and no other settings of the network; `chosen`: proxies, one after the other. */
async function ask(environment: Record<string, string>, ...chosen: string[]): Promise<string> {
  const kept = ['PATH', 'NODE_COMPILE_CACHE'].map((name) => [name, process.env[name] ?? '']);
  const env = { ...Object.fromEntries(kept), ...environment };
  return (await promisify(execFile)(process.execPath, [script, ...chosen], { env })).stdout;
}

describe('a proxy', () => {
  it('that HTTPS_PROXY or ALL_PROXY names is used, without a further switch; this machine is asked directly', async () => {
    const address = `http://127.0.0.1:${String(portOf(proxy))}`;
    tunnels.length = 0;
    const endpoint = { HF_ENDPOINT: 'http://hub.example' };
    expect(await ask({ ...endpoint, HTTP_PROXY: address })).toMatch(/^hello from the (plain hub|proxy)$/);
    expect(await ask({ ...endpoint, all_proxy: address })).toMatch(/^hello from the (plain hub|proxy)$/);
    const local = `http://127.0.0.1:${String(portOf(plainHub))}`;
    tunnels.length = 0;
    expect(await ask({ HF_ENDPOINT: local, HTTP_PROXY: address, NO_PROXY: 'elsewhere' })).toBe(
      'hello from the plain hub',
    );
    expect(tunnels).toEqual([]);
  });

  it('of the kind SOCKS is refused in words that name the variable and no password', async () => {
    const said = await ask({ HF_ENDPOINT: 'https://hub.example', ALL_PROXY: 'socks5h://me:secret@proxy.example:1080' });
    expect(said).toMatch(/^network\.proxy-kind\n.*ALL_PROXY.*socks5h/);
    expect(said).not.toContain('secret');
    expect(said).toContain('HTTPS_PROXY');
  });

  it('is read in upper and lower case, with a scheme of its own before ALL_PROXY', () => {
    expect(proxySettings({})).toBeNull();
    expect(proxySettings({ HTTPS_PROXY: '' })).toBeNull();
    expect(proxySettings({ HTTPS_PROXY: 'proxy.example:8080', no_proxy: '.corp' })).toEqual({
      http_proxy: '',
      https_proxy: 'http://proxy.example:8080/',
      no_proxy: '.corp,localhost,127.0.0.1,::1',
    });
    expect(proxySettings({ all_proxy: 'socks5://a', https_proxy: 'http://b', http_proxy: 'http://c' })).toMatchObject({
      http_proxy: 'http://c/',
      https_proxy: 'http://b/',
    });
    expect(() => proxySettings({ HTTPS_PROXY: 'http://[nonsense' })).toThrow(/HTTPS_PROXY/);
  });
});

describe('a proxy that was chosen in the window', () => {
  it("goes before the environment's, and can be changed and given up while the workbench runs", async () => {
    const address = `127.0.0.1:${String(portOf(proxy))}`;
    const nowhere = 'http://127.0.0.1:9';
    const endpoint = { HF_ENDPOINT: 'http://hub.example', HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere };
    const [unreachable, hello] = ['hub\\.unreachable\\n[^]*', 'hello from the (plain hub|proxy)'];
    expect(await ask(endpoint, '', address, nowhere, address, '')).toMatch(
      new RegExp(`^${[unreachable, hello, unreachable, hello, unreachable].join('\\n')}$`),
    );
  });

  it('is answered in words where it cannot be used', async () => {
    const said = await ask({ HF_ENDPOINT: 'https://hub.example' }, 'socks5://me:secret@proxy.example');
    expect(said).toMatch(/^network\.proxy-kind\nThis address names a proxy of the kind "socks5"/);
    expect(said).not.toContain('secret');
  });

  it('is shown without its password', () => {
    const hub = 'https://hub.example';
    expect(proxyInUse(hub, '', {})).toEqual({ from: 'nowhere', host: '' });
    expect(proxyInUse(hub, '', { HTTPS_PROXY: 'http://me:secret@a:81' })).toEqual({
      from: 'environment',
      host: 'a:81',
    });
    expect(proxyInUse(hub, '', { HTTP_PROXY: 'http://a:81' })).toEqual({ from: 'nowhere', host: '' });
    expect(proxyInUse(hub, 'me:secret@b:82', { HTTPS_PROXY: 'socks5://a' })).toEqual({ from: 'setting', host: 'b:82' });
    expect(proxyInUse(hub, '', { ALL_PROXY: 'socks5://a' })).toEqual({ from: 'unusable', host: '' });
  });
});

describe.skipIf(openssl !== 0)("a company's certificate", () => {
  const behind = (): Record<string, string> => ({
    HF_ENDPOINT: 'https://hub.example',
    HTTPS_PROXY: `http://127.0.0.1:${String(portOf(proxy))}`,
  });

  it('is trusted where NODE_EXTRA_CA_CERTS names it', async () => {
    tunnels.length = 0;
    expect(await ask({ ...behind(), NODE_EXTRA_CA_CERTS: certificate })).toBe('hello from the hub');
    expect(tunnels).toEqual(['hub.example:443']);
  });

  it('is trusted through a proxy that was chosen in the window', async () => {
    const direct = { HF_ENDPOINT: 'https://hub.example', NODE_EXTRA_CA_CERTS: certificate };
    const address = `http://127.0.0.1:${String(portOf(proxy))}`;
    expect(await ask(direct, address)).toBe('hello from the hub');
  });

  it.skipIf(process.platform !== 'linux')("is trusted where the system's store has it", async () => {
    expect(await ask({ ...behind(), SSL_CERT_FILE: certificate })).toBe('hello from the hub');
  });

  it('that nobody here trusts is refused, with what to do', async () => {
    const empty = join(folder, 'empty.pem');
    writeFileSync(empty, '');
    const said = await ask({ ...behind(), SSL_CERT_FILE: empty });
    expect(said).toMatch(/^hub\.unreachable\n/);
    expect(said).toMatch(/signed by nobody that this machine trusts.*\(DEPTH_ZERO_SELF_SIGNED_CERT\)/);
    expect(said).toContain('NODE_EXTRA_CA_CERTS');
  });
});
