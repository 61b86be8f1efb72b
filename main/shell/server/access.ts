/** Who may talk to the server: one browser that was given the one-time link, from this machine, on our own page. */
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

  /** Exchanges the token for a session cookie; null when it is wrong or was used. */
  redeem(token: string): string | null {
    if (this.#token === null || !same(token, this.#token)) return null;
    this.#token = null;
    const session = randomBytes(32).toString('base64url');
    this.#sessions.add(session);
    return `${this.#cookieName}=${session}; HttpOnly; SameSite=Strict; Path=/`;
  }

  /** Why a request is refused, or null. Whatever changes state (`origin: 'required'`) must come from our own page. */
  refusal(request: IncomingMessage, origin: 'required' | 'optional'): Refusal | null {
    if (!this.#isOurHost(request.headers.host)) return 'host';
    const from = request.headers.origin;
    if (from === undefined ? origin === 'required' : !this.#isOurOrigin(from)) return 'origin';
    const cookies = (request.headers.cookie ?? '').split(';').map((part) => part.trim());
    const session = cookies.find((part) => part.startsWith(`${this.#cookieName}=`))?.slice(this.#cookieName.length + 1);
    return session !== undefined && [...this.#sessions].some((known) => same(session, known)) ? null : 'session';
  }

  hostIsOurs(request: IncomingMessage): boolean {
    return this.#isOurHost(request.headers.host);
  }

  /** Cookies are shared by all ports of a host, so the name carries ours. */
  get #cookieName(): string {
    return `tritsmith-${String(this.#port)}`;
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
