/**
 * Preloaded into the Node processes of a test (`--import`): every connection or name look-up that would leave the machine fails at once,
 * and is written down in the file that TRITSMITH_NETWORK_LOG names.
 */
import dgram from 'node:dgram';
import dns from 'node:dns';
import { appendFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

const log = process.env['TRITSMITH_NETWORK_LOG'];
const isHere = (host: unknown): boolean =>
  host === undefined || host === null || /^(localhost|127\.\d+\.\d+\.\d+|::1|)$/.test(String(host));

function refuse(what: string, host: unknown): Error {
  if (log !== undefined) appendFileSync(log, `${what} ${String(host)} in ${process.argv[1] ?? ''}\n`);
  return Object.assign(new Error(`No network: ${what} ${String(host)}`), { code: 'ENETUNREACH' });
}

type Callable = (this: unknown, ...args: unknown[]) => unknown;
/** Replaces `owner[name]`; `outside` says which host of the arguments would be reached, if it is outside. */
function guard(owner: object, name: string, outside: (args: unknown[]) => unknown): void {
  const methods = owner as Record<string, Callable>;
  const original = methods[name]!;
  methods[name] = function (...args) {
    const host = outside(args);
    if (host === undefined) return original.apply(this, args);
    const error = refuse(name, host);
    const callback = args.at(-1);
    if (typeof callback === 'function' && name !== 'connect') {
      process.nextTick(callback, error);
      return undefined;
    }
    throw error;
  };
}

const hostOf = (args: unknown[]): unknown => {
  // net's own normalised arguments come as one array.
  const flat = args.flat();
  const first = flat[0];
  const host = typeof first === 'object' && first !== null ? (first as { host?: unknown }).host : flat[1];
  return typeof host === 'string' && !isHere(host) ? host : undefined;
};
const nameOf = ([name]: unknown[]): unknown => (isHere(name) ? undefined : name);

guard(net.Socket.prototype, 'connect', hostOf);
guard(dgram.Socket.prototype, 'connect', ([, host]) => (typeof host === 'string' && !isHere(host) ? host : undefined));
guard(dgram.Socket.prototype, 'send', (args) => args.find((each) => typeof each === 'string' && !isHere(each)));
for (const resolver of [dns, dns.promises])
  for (const name of ['lookup', 'resolve', 'resolve4', 'resolve6', 'resolveAny']) guard(resolver, name, nameOf);
syncBuiltinESMExports();
