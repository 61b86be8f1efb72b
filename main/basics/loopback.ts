/** What servers on this machine check of a request, so that no web page reaches them, neither directly nor by DNS rebinding. */
import { timingSafeEqual } from 'node:crypto';

/** Whether a Host header names the loopback address with this port. */
export function isLoopbackHost(host: string | undefined, port: number): boolean {
  return host === `127.0.0.1:${String(port)}` || host === `localhost:${String(port)}`;
}

/** Whether an Origin header names our own pages. */
export function isLoopbackOrigin(origin: string, port: number): boolean {
  return origin.startsWith('http://') && isLoopbackHost(origin.slice('http://'.length), port);
}

/** Compares two secrets in a time that says nothing about where they differ. */
export function sameSecret(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
