/**
 * The one place that speaks to the network, and only when the user asks: requests to the Hugging Face Hub or to the mirror that
 * HF_ENDPOINT names. Redirects are followed by hand, so that the token goes to the Hub alone and never to the servers that it
 * sends its large files from.
 */
import { TritsmithError } from '../contract/errors.ts';
import { useNetworkSettings } from './network-settings.ts';

/** A public address, read by nothing before the user searches or downloads. */
const publicHub = 'https://huggingface.co';
const mostRedirects = 6;
const answerMilliseconds = 20_000;
const mostJsonBytes = 32 * 1024 * 1024;

export interface HubClientOptions {
  /** Base address; default HF_ENDPOINT, else the public Hub. */
  readonly endpoint?: string;
  /** Default HF_TOKEN. */
  readonly token?: string;
  /** Address of a proxy; default the environment's. */
  readonly proxy?: string;
}

/** An open answer whose body has not been read. */
export interface HubAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array>;
  /** The Hub's own word for what the file holds (its hash), where it gives one. */
  readonly contentHash: string | null;
}

export class HubClient {
  readonly endpoint: string;
  readonly #token: string | undefined;
  readonly #proxy: string;

  /** Throws `bad-input` for an endpoint that is no http(s) address. */
  constructor(options: HubClientOptions = {}) {
    const endpoint = (options.endpoint ?? process.env['HF_ENDPOINT'] ?? '') || publicHub;
    if (!/^https?:\/\//.test(endpoint) || !URL.canParse(endpoint))
      throw new TritsmithError('bad-input', 'hub.endpoint', { endpoint });
    this.endpoint = endpoint.replace(/\/+$/, '');
    this.#proxy = options.proxy ?? '';
    this.#token = (options.token ?? process.env['HF_TOKEN'] ?? '') || undefined;
  }

  /** Reads JSON. `path` begins with `/`. Throws like `open`, and `unreachable` for an answer that is no JSON. */
  async json(path: string, signal?: AbortSignal): Promise<unknown> {
    const text = await this.text(path, mostJsonBytes, signal);
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new TritsmithError('unreachable', 'hub.no-answer-of-a-hub', { host: this.#host, said: text.slice(0, 120) });
    }
  }

  /** Reads a small text whole. Throws like `open`, and `unreachable` when it is larger than `most` bytes or breaks off. */
  async text(path: string, most: number, signal?: AbortSignal): Promise<string> {
    const { body } = await this.open(path, {}, signal);
    const reader = body.getReader();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      void reader.cancel();
    }, answerMilliseconds);
    const parts: Uint8Array[] = [];
    let size = 0;
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        size += part.value.byteLength;
        if (size > most) throw new Error(`more than ${String(most)} bytes`);
        parts.push(part.value);
      }
      if (late) throw new Error('no answer within 20 seconds');
    } catch (thrown) {
      await reader.cancel().catch(() => undefined);
      throw this.#unreachable(thrown, signal);
    } finally {
      clearTimeout(timer);
    }
    return Buffer.concat(parts).toString('utf8');
  }

  /**
   * Opens `path` (beginning with `/`) and returns the answer with its body unread; status 200, 206 or 416.
   * @throws TritsmithError `unreachable` (network, 5xx, 429), `forbidden` (401, 403), `not-found`, `stopped` when `signal` aborts
   */
  async open(path: string, headers: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<HubAnswer> {
    refuseWhenOffline();
    useNetworkSettings(this.#proxy);
    let url = new URL(this.endpoint + path);
    const home = url.origin;
    let contentHash: string | null = null;
    for (let hop = 0; hop <= mostRedirects; hop += 1) {
      const answer = await this.#send(url, url.origin === home, headers, signal);
      if (hop === 0 || url.origin === home) contentHash = plainTag(answer.headers.get('x-linked-etag')) ?? contentHash;
      const location = answer.headers.get('location');
      if (answer.status >= 300 && answer.status < 400 && location !== null) {
        await answer.body?.cancel();
        const next = URL.canParse(location, url.href) ? new URL(location, url) : null;
        if (
          next === null ||
          !/^https?:$/.test(next.protocol) ||
          (url.protocol === 'https:' && next.protocol !== 'https:')
        )
          throw new TritsmithError('unreachable', 'hub.unusable-redirect', {
            host: this.#host,
            location: location.slice(0, 200),
          });
        url = next;
        continue;
      }
      if (answer.body !== null && (answer.ok || answer.status === 416))
        return { status: answer.status, headers: answer.headers, body: answer.body, contentHash };
      const said = (await answer.text().catch(() => '')).slice(0, 400);
      throw this.#refusal(answer, url.origin === home, said);
    }
    throw new TritsmithError('unreachable', 'hub.circles', { host: this.#host });
  }

  async #send(
    url: URL,
    atHome: boolean,
    headers: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<Response> {
    const waited = new AbortController();
    const timer = setTimeout(() => {
      waited.abort();
    }, answerMilliseconds);
    try {
      return await fetch(url, {
        redirect: 'manual',
        headers: {
          'user-agent': 'tritsmith',
          // Compressed answers have no ranges.
          'accept-encoding': 'identity',
          ...headers,
          ...(atHome && this.#token !== undefined ? { authorization: `Bearer ${this.#token}` } : {}),
        },
        signal: signal === undefined ? waited.signal : AbortSignal.any([signal, waited.signal]),
      });
    } catch (thrown) {
      throw this.#unreachable(waited.signal.aborted ? new Error('no answer within 20 seconds') : thrown, signal);
    } finally {
      clearTimeout(timer);
    }
  }

  get #host(): string {
    return new URL(this.endpoint).host;
  }

  #unreachable(thrown: unknown, signal?: AbortSignal): TritsmithError {
    if (thrown instanceof TritsmithError) return thrown as TritsmithError;
    if (signal?.aborted === true) return new TritsmithError('stopped', 'download.stopped');
    return new TritsmithError('unreachable', 'hub.unreachable', { host: this.#host, ...causeOf(thrown) });
  }

  #refusal(answer: Response, atHome: boolean, said: string): TritsmithError {
    const { status } = answer;
    const word = answer.headers.get('x-error-code') ?? '';
    const reason = [`status ${String(status)}`, answer.headers.get('x-error-message') ?? plainSentence(said)]
      .filter((part) => part !== '')
      .join(': ');
    if (status === 429) {
      const wait = answer.headers.get('retry-after');
      return new TritsmithError('unreachable', 'hub.slow-down', {
        reason,
        wait: wait !== null && /^\d+$/.test(wait) ? Number(wait) : null,
      });
    }
    if (status >= 500) return new TritsmithError('unreachable', 'hub.trouble', { host: this.#host, reason });
    if (word === 'GatedRepo' || (status === 403 && atHome))
      return new TritsmithError('forbidden', 'hub.licence', { host: this.#host, reason });
    if (status === 404 || (status === 401 && word !== '' && this.#token === undefined))
      return new TritsmithError('not-found', 'hub.not-found', { reason });
    if (status === 401)
      return new TritsmithError('forbidden', 'hub.no-access', { reason, hasToken: this.#token !== undefined });
    return new TritsmithError('unreachable', 'hub.refused', { host: atHome ? this.#host : null, reason });
  }
}

/** HF_HUB_OFFLINE is what the Hub's own tools obey. */
function refuseWhenOffline(): void {
  if (!/^(1|true|yes|on)$/i.test(process.env['HF_HUB_OFFLINE'] ?? '')) return;
  throw new TritsmithError('unreachable', 'hub.offline');
}

/** `"abc"` or `W/"abc"` without its dress. */
function plainTag(tag: string | null): string | null {
  return tag === null ? null : tag.replace(/^W\//, '').replaceAll('"', '');
}

/** What a server said, unless it is a page. */
function plainSentence(said: string): string {
  const json = /"error"\s*:\s*"([^"]{1,200})"/.exec(said)?.[1];
  return json ?? (said.includes('<') ? '' : said.trim().slice(0, 200));
}

/** fetch says "fetch failed" and hides why one level down. */
function causeOf(thrown: unknown): { problem: string; code?: string } {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const cause = error.cause instanceof Error ? error.cause : error;
  const { code } = cause as NodeJS.ErrnoException;
  return { problem: cause.message, ...(code === undefined ? {} : { code }) };
}
