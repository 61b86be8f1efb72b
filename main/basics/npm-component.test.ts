/** npm behind a company that signs the registry's certificate itself: what the system trusts is trusted by the npm of the pinned Node. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { installNpmComponent, type NpmComponent } from './npm-component.ts';

const folder = mkdtempSync(join(tmpdir(), 'tritsmith-npm-'));
const at = (name: string): string => join(folder, name);
const openssl = (...args: string[]): boolean => spawnSync('openssl', args, { cwd: folder }).status === 0;

/** npm's own script, which the pinned Node can run; null where the system has none. */
function npmScript(): string | null {
  const named = process.env['npm_execpath'] ?? '';
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((path) => join(path, 'npm'))
    .filter((path) => existsSync(path))
    .map((path) => realpathSync(path));
  return [named, ...found].find((path) => path.endsWith('npm-cli.js')) ?? null;
}

/** A company's authority, and a registry with a certificate of it. */
function certificates(): boolean {
  writeFileSync(at('names'), 'subjectAltName=IP:127.0.0.1');
  const key = ['-newkey', 'rsa:2048', '-nodes'];
  return (
    openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=Company', '-keyout', 'ca.key', '-out', 'ca.pem') &&
    openssl('req', ...key, '-subj', '/CN=registry', '-keyout', 'key.pem', '-out', 'request.pem') &&
    openssl(
      ...['x509', '-req', '-in', 'request.pem', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'],
      ...['-days', '2', '-extfile', 'names', '-out', 'certificate.pem'],
    )
  );
}

const npm = npmScript();
const signed = certificates();
let registry: Server;
let component: NpmComponent;

beforeAll(async () => {
  mkdirSync(at('package'));
  writeFileSync(at('package/package.json'), JSON.stringify({ name: 'thing', version: '1.0.0' }));
  spawnSync('tar', ['-czf', 'thing.tgz', 'package'], { cwd: folder });
  const bytes = readFileSync(at('thing.tgz'));
  const tls = signed ? { key: readFileSync(at('key.pem')), cert: readFileSync(at('certificate.pem')) } : {};
  registry = createServer(tls, (_, response) => response.end(bytes));
  await once(registry.listen(0, '127.0.0.1'), 'listening');
  const { port } = registry.address() as AddressInfo;
  const dependencies = { thing: '1.0.0' };
  const thing = {
    version: '1.0.0',
    resolved: `https://127.0.0.1:${String(port)}/thing.tgz`,
    integrity: `sha512-${createHash('sha512').update(bytes).digest('base64')}`,
  };
  writeFileSync(
    at('package-lock.json'),
    JSON.stringify({ lockfileVersion: 3, packages: { '': { dependencies }, 'node_modules/thing': thing } }),
  );
  const target = at('component');
  const find = (): string | null => (existsSync(join(target, 'node_modules', 'thing', 'package.json')) ? target : null);
  component = {
    ...{ name: 'thing', dependencies, lockFile: at('package-lock.json') },
    ...{ bytes: 1000, folder: target, find },
  };
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => {
  registry.close();
  rmSync(folder, { recursive: true });
});

describe.skipIf(npm === null || !signed || process.platform !== 'linux')('a registry of a company', () => {
  const trusting = (store: string): void => {
    vi.stubEnv('npm_execpath', npm!);
    vi.stubEnv('npm_config_cache', at('cache'));
    vi.stubEnv('npm_config_fetch_retries', '0');
    vi.stubEnv('npm_config_cafile', undefined);
    // A machine's own settings may name authorities too.
    vi.stubEnv('npm_config_globalconfig', at('no-npmrc'));
    vi.stubEnv('npm_config_userconfig', at('no-npmrc-either'));
    vi.stubEnv('NODE_EXTRA_CA_CERTS', undefined);
    // The system's store, as OpenSSL finds it.
    vi.stubEnv('SSL_CERT_FILE', at(store));
  };

  it('that the system does not trust is refused, with what to do', async () => {
    writeFileSync(at('empty.pem'), '');
    trusting('empty.pem');
    await expect(installNpmComponent(component)).rejects.toMatchObject({
      code: 'not-found',
      reason: expect.stringContaining('signed by nobody') as string,
      remedy: expect.stringContaining('NODE_EXTRA_CA_CERTS') as string,
    });
    expect(existsSync(at('component'))).toBe(false);
  });

  it("whose authority is in the system's store is used", async () => {
    trusting('ca.pem');
    expect(await installNpmComponent(component)).toBe(at('component'));
  });
});
