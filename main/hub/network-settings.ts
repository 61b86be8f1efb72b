/** How this machine reaches the network: through its proxy, and trusting the certificates of its company. It opens no connection itself. */
import { existsSync } from 'node:fs';
import { setGlobalProxyFromEnv } from 'node:http';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { TritsmithError } from '../contract/errors.ts';
import type { ProxyInUse } from '../contract/hub.ts';

/** Addresses of this machine are asked directly, whatever the proxy is. */
const here = 'localhost,127.0.0.1,::1';

export interface Proxies {
  readonly http_proxy: string;
  readonly https_proxy: string;
  readonly no_proxy: string;
}

/** The address of a proxy as it was written by a person. `variable`: where it stands, null for the setting of the workbench. */
function proxyAddress(value: string, variable: string | null): string {
  // People leave the scheme out, as curl lets them.
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
  if (url === null) throw new TritsmithError('bad-input', 'network.proxy', { variable });
  if (!/^https?:$/.test(url.protocol))
    throw new TritsmithError('unsupported', 'network.proxy-kind', { variable, kind: url.protocol.slice(0, -1) });
  return url.href;
}

/**
 * The proxies that `chosen` (the workbench's setting; empty for none) or else the environment names, in upper or lower case, ALL_PROXY where a scheme has none of
 * its own; null without one.
 * @throws TritsmithError `unsupported` for a kind of proxy that cannot be used (SOCKS), `bad-input` for no address
 */
export function proxySettings(environment: NodeJS.ProcessEnv, chosen = ''): Proxies | null {
  const named = (name: string): [name: string, value: string] | null => {
    const found = [name.toLowerCase(), name].find((each) => (environment[each] ?? '') !== '');
    return found === undefined ? null : [found, environment[found]!];
  };
  const usable = (name: string): string => {
    const [variable, value] = named(name) ?? named('ALL_PROXY') ?? ['', ''];
    return value === '' ? '' : proxyAddress(value, variable);
  };
  const everywhere = chosen === '' ? null : proxyAddress(chosen, null);
  const http = everywhere ?? usable('HTTP_PROXY');
  const https = everywhere ?? usable('HTTPS_PROXY');
  if (http === '' && https === '') return null;
  const excepted = named('NO_PROXY')?.[1];
  return { http_proxy: http, https_proxy: https, no_proxy: excepted === undefined ? here : `${excepted},${here}` };
}

/** What the proxies of now are made from, and what takes them back. */
let used: { readonly proxies: string; readonly undo: () => void } | null = null;

/**
 * Makes every request of this process from now on go through the proxy that was `chosen`, or else the environment's, and trust what the system trusts besides
 * Node's own list (and NODE_EXTRA_CA_CERTS, which Node reads at its start). Throws like `proxySettings`.
 */
export function useNetworkSettings(chosen = '', environment: NodeJS.ProcessEnv = process.env): void {
  const settings = proxySettings(environment, chosen);
  const proxies = JSON.stringify(settings);
  if (used?.proxies === proxies) return;
  if (used === null && hasStore(environment))
    setDefaultCACertificates([...getCACertificates('default'), ...getCACertificates('system')]);
  used?.undo();
  used = { proxies, undo: settings === null ? () => undefined : setGlobalProxyFromEnv({ ...settings }) };
}

/** Whether the system keeps certificates at all: a bare Linux has no such folder, and OpenSSL would complain of that on the terminal. */
function hasStore(environment: NodeJS.ProcessEnv): boolean {
  if (process.platform === 'win32' || process.platform === 'darwin') return true;
  return environment['SSL_CERT_FILE'] !== undefined || existsSync(environment['SSL_CERT_DIR'] ?? '/etc/ssl/certs');
}

/** Which proxy requests to `endpoint` go through, without its password, as people are shown it. */
export function proxyInUse(endpoint: string, chosen: string, environment: NodeJS.ProcessEnv = process.env): ProxyInUse {
  try {
    const proxies = proxySettings(environment, chosen);
    const address = endpoint.startsWith('http:') ? proxies?.http_proxy : proxies?.https_proxy;
    if (address === undefined || address === '') return { from: 'nowhere', host: '' };
    return { from: chosen === '' ? 'environment' : 'setting', host: new URL(address).host };
  } catch {
    return { from: 'unusable', host: '' };
  }
}
