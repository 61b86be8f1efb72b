/**
 * Who may talk to the server: one browser that was given the one-time link, from this machine, on our own page. The session is no
 * cookie, since a browser sends cookies to every port of a host, so to any other user's server on this machine too.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isLoopbackHost, isLoopbackOrigin, sameSecret } from '../../basics/loopback.ts';

export type Refusal = 'host' | 'origin' | 'session';

export class Access {
  readonly port: number;
  readonly #sessions = new Set<string>();
  #token: string | null = null;

  constructor(port: number) {
    this.port = port;
  }

  /** A new one-time token; an earlier one that was not used is void. */
  issueToken(): string {
    this.#token = randomBytes(24).toString('base64url');
    return this.#token;
  }

  /** Exchanges the token for a session; null when it is wrong or was used. */
  redeem(token: string): string | null {
    if (this.#token === null || !sameSecret(token, this.#token)) return null;
    this.#token = null;
    const session = randomBytes(32).toString('base64url');
    this.#sessions.add(session);
    return session;
  }

  knows(session: string | undefined): boolean {
    return session !== undefined && [...this.#sessions].some((known) => sameSecret(session, known));
  }

  /** Why a request is refused whoever sends it, or null. Whatever is more than a page's file must come from our own page. */
  refusal(request: IncomingMessage, origin: 'required' | 'optional'): Refusal | null {
    if (!isLoopbackHost(request.headers.host, this.port)) return 'host';
    const from = request.headers.origin;
    if (from === undefined ? origin === 'required' : !isLoopbackOrigin(from, this.port)) return 'origin';
    return null;
  }
}
