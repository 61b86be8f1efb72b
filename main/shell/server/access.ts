/**
 * Who may talk to the server: one browser that was given the one-time link, from this machine, on our own page. The session is no
 * cookie, since a browser sends cookies to every port of a host, so to any other user's server on this machine too.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export type Refusal = 'host' | 'origin' | 'session';

export class Access {
  readonly #port: number;
  readonly #sessions = new Set<string>();
  #token: string | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  /** A new one-time token; an earlier one that was not used is void. */
  issueToken(): string {
    this.#token = randomBytes(24).toString('base64url');
    return this.#token;
  }

  /** Exchanges the token for a session; null when it is wrong or was used. */
  redeem(token: string): string | null {
    if (this.#token === null || !same(token, this.#token)) return null;
    this.#token = null;
    const session = randomBytes(32).toString('base64url');
    this.#sessions.add(session);
    return session;
  }

  knows(session: string | undefined): boolean {
    return session !== undefined && [...this.#sessions].some((known) => same(session, known));
  }

  /** Why a request is refused whoever sends it, or null. Whatever is more than a page's file must come from our own page. */
  refusal(request: IncomingMessage, origin: 'required' | 'optional'): Refusal | null {
    if (!this.#isOurHost(request.headers.host)) return 'host';
    const from = request.headers.origin;
    if (from === undefined ? origin === 'required' : !this.#isOurOrigin(from)) return 'origin';
    return null;
  }

  #isOurHost(host: string | undefined): boolean {
    return host === `127.0.0.1:${String(this.#port)}` || host === `localhost:${String(this.#port)}`;
  }

  #isOurOrigin(origin: string): boolean {
    return origin.startsWith('http://') && this.#isOurHost(origin.slice('http://'.length));
  }
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
