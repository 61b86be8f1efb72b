/** How this machine reaches the network: through its proxy, and trusting the certificates of its company. It opens no connection itself. */
import { setGlobalProxyFromEnv } from 'node:http';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { TritsmithError } from '../contract/errors.ts';

/** Addresses of this machine are asked directly, whatever the proxy is. */
const here = 'localhost,127.0.0.1,::1';

/**
 * The proxies that the environment names, in upper or lower case, ALL_PROXY where a scheme has none of its own; null without one.
 * @throws TritsmithError `unsupported` for a kind of proxy that cannot be used (SOCKS), `bad-input` for no address
 */
export function proxySettings(
  environment: NodeJS.ProcessEnv,
): { readonly http_proxy: string; readonly https_proxy: string; readonly no_proxy: string } | null {
  const named = (name: string): [name: string, value: string] | null => {
    const found = [name.toLowerCase(), name].find((each) => (environment[each] ?? '') !== '');
    return found === undefined ? null : [found, environment[found]!];
  };
  const usable = (name: string): string => {
    const [variable, value] = named(name) ?? named('ALL_PROXY') ?? ['', ''];
    if (value === '') return '';
    // People leave the scheme out, as curl lets them.
    const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
    if (url === null) throw new TritsmithError('bad-input', 'network.proxy', { variable });
    if (!/^https?:$/.test(url.protocol))
      throw new TritsmithError('unsupported', 'network.proxy-kind', { variable, kind: url.protocol.slice(0, -1) });
    return url.href;
  };
  const [http, https] = [usable('HTTP_PROXY'), usable('HTTPS_PROXY')];
  if (http === '' && https === '') return null;
  const excepted = named('NO_PROXY')?.[1];
  return { http_proxy: http, https_proxy: https, no_proxy: excepted === undefined ? here : `${excepted},${here}` };
}

let used = false;

/**
 * Makes every request of this process go through the environment's proxy, and trust what the system trusts besides Node's own list (and NODE_EXTRA_CA_CERTS,
 * which Node reads at its start). Does so once; throws like `proxySettings`.
 */
export function useNetworkSettings(environment: NodeJS.ProcessEnv = process.env): void {
  if (used) return;
  const proxies = proxySettings(environment);
  if (proxies !== null) setGlobalProxyFromEnv({ ...proxies });
  setDefaultCACertificates([...getCACertificates('default'), ...getCACertificates('system')]);
  used = true;
}
