/** A package registry on loopback with the packages of a lockfile, byte for byte as npm's own cache has them from an earlier download. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface Registry {
  readonly url: string;
  /** While false every connection is cut, as where there is no network. */
  reachable: boolean;
  close(): void;
}

interface CachedPackage {
  readonly version: string;
  readonly integrity: string;
  readonly path: string;
}

/** Where npm's cache keeps what has this SHA-512. */
function cachedPath(integrity: string): string {
  const cache =
    process.env['npm_config_cache'] ??
    (process.platform === 'win32' ? join(process.env['LOCALAPPDATA'] ?? '', 'npm-cache') : join(homedir(), '.npm'));
  const hex = Buffer.from(integrity.slice('sha512-'.length), 'base64').toString('hex');
  return join(cache, '_cacache', 'content-v2', 'sha512', hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
}

/** Null where npm's cache lacks one of the packages. */
export async function registryOf(lockFile: string): Promise<Registry | null> {
  const { packages } = JSON.parse(readFileSync(lockFile, 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  const byName = new Map<string, CachedPackage[]>();
  for (const [place, { version, integrity }] of Object.entries(packages)) {
    if (place === '') continue;
    const path = cachedPath(integrity);
    if (!existsSync(path)) return null;
    const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);
    byName.set(name, [...(byName.get(name) ?? []), { version, integrity, path }]);
  }
  let url = '';
  const send = (response: ServerResponse, path: string): void => {
    const [kind, name = '', version] = path.split('|');
    const found = byName.get(kind === 'tarball' ? name : path) ?? [];
    const wanted = found.find((each) => each.version === version);
    if (wanted !== undefined) response.end(readFileSync(wanted.path));
    else if (found.length === 0) response.writeHead(404).end('{}');
    else response.end(JSON.stringify(packument(path, found)));
  };
  const packument = (name: string, found: readonly CachedPackage[]): object => ({
    name,
    'dist-tags': { latest: found[0]!.version },
    versions: Object.fromEntries(
      found.map(({ version, integrity }) => [
        version,
        { name, version, dist: { integrity, tarball: `${url}${encodeURIComponent(`tarball|${name}|${version}`)}` } },
      ]),
    ),
  });
  const registry = {
    get url() {
      return url;
    },
    reachable: false,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  const server = createServer((request, response) => {
    if (registry.reachable) send(response, decodeURIComponent((request.url ?? '').slice(1)));
    else request.socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
  return registry;
}
