/** A student behind HTTP: the OpenAI interface for programs on this machine, and labels with scores for task students. */
import { randomBytes, randomInt } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isLoopbackHost, isLoopbackOrigin, sameSecret } from '../basics/loopback.ts';
import { parseBoundedJson } from '../basics/bounded-json.ts';
import { TritsmithError } from '../contract/errors.ts';
import type { ModelToServe, ServedFacts, Written } from '../contract/serving-protocol.ts';
import type { SpawnPort } from '../jobs/spawn-port.ts';
import { type AnswerShape, chatShape, classificationOf, completionShape, type Heading, usageOf } from './answers.ts';
import { ModelProcess } from './model-process.ts';
import { asRefusal, Refusal } from './refusal.ts';
import { type Classifying, parseChat, parseClassify, parseCompletion, type Writing } from './requests.ts';

export interface ServerSettings {
  readonly model: ModelToServe;
  /** What clients call the model. */
  readonly name: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0 (default) takes any free one. */
  readonly port?: number;
  /** Null: whoever reaches the address may ask; on the loopback address alone. */
  readonly token: string | null;
  /** Requests that may wait beside those that are computed; one more is sent away. */
  readonly queue?: number;
  readonly mostBodyBytes?: number;
  /** Seconds that one answer may take, waiting included. */
  readonly answerSeconds?: number;
}

export interface ServerState {
  readonly busy: number;
  readonly waiting: number;
  /** Requests that were answered since the start. */
  readonly answered: number;
}

export interface ModelServer {
  /** Such as http://127.0.0.1:8080 */
  readonly address: string;
  readonly facts: ServedFacts;
  readonly state: ServerState;
  /** Takes no new request, lets those that run end for `graceSeconds` (default 5), ends the rest and the process. */
  close(graceSeconds?: number): Promise<void>;
}

const defaults = { host: '127.0.0.1', queue: 32, mostBodyBytes: 1024 * 1024, answerSeconds: 300 };
/** How deep a request may be nested; the deepest that is understood has six levels. */
const mostDepth = 16;
const mostConnections = 256;
const receiveMilliseconds = 30_000;
const lastWordsMilliseconds = 1000;

export function newToken(): string {
  return randomBytes(24).toString('base64url');
}

/**
 * Loads the model and listens.
 * @throws TritsmithError why the model cannot be opened; `not-writable` for a port that is taken; `bad-input` for another address than loopback
 * without a token
 */
export async function startModelServer(port: SpawnPort, settings: ServerSettings): Promise<ModelServer> {
  const host = settings.host ?? defaults.host;
  const loopback = host === '127.0.0.1' || host === 'localhost';
  if (!loopback && settings.token === null) throw new TritsmithError('bad-input', 'serving.token-needed', { host });
  const http = createServer({ maxHeaderSize: 16 * 1024, connectionsCheckingInterval: 5000 });
  http.maxConnections = mostConnections;
  http.requestTimeout = receiveMilliseconds;
  // First, so that a port that is taken is said before the model is loaded.
  await listen(http, host, settings.port ?? 0);
  const bound = (http.address() as AddressInfo).port;
  let desk: Desk;
  try {
    desk = new Desk(await ModelProcess.open(port, settings.model), settings, loopback ? bound : null);
  } catch (thrown) {
    http.closeAllConnections();
    http.close();
    throw thrown;
  }
  http.on('request', (request, response) => {
    void desk.receive(request, response);
  });
  return {
    address: `http://${host.includes(':') ? `[${host}]` : host}:${String(bound)}`,
    facts: desk.facts,
    get state() {
      return desk.state;
    },
    close: async (graceSeconds = 5) => {
      const closed = new Promise((resolve) => http.close(resolve));
      http.closeIdleConnections();
      await desk.end(graceSeconds);
      http.closeAllConnections();
      await closed;
    },
  };
}

type Handler = (body: unknown, exchange: Exchange) => Promise<void>;

/** One request on its way. */
interface Exchange {
  readonly response: ServerResponse;
  /** The client is gone, the time is up, or the server ends. */
  readonly signal: AbortSignal;
  /** Why an answer that was cut short cannot be given. */
  interrupted(): Refusal;
}

/** Takes requests, sends away those that are too many, and answers the others. */
class Desk {
  readonly #process: ModelProcess;
  readonly #settings: ServerSettings;
  /** Port that the Host header must name; null where the server listens to more than this machine. */
  readonly #loopbackPort: number | null;
  readonly #ending = new AbortController();
  #closing = false;
  /** Responses that are not out yet. */
  #open = 0;
  /** Requests that compute or wait. */
  #inside = 0;
  #answered = 0;
  /** Mean seconds of an answer, newer ones counting more. */
  #seconds = 1;
  readonly #quiet = Promise.withResolvers<undefined>();

  #grace: NodeJS.Timeout | undefined;
  readonly #handlers: Readonly<Record<string, Handler>> = {
    '/v1/chat/completions': (body, exchange) => this.#write(parseChat(body), 'chat', exchange),
    '/v1/completions': (body, exchange) => this.#write(parseCompletion(body), 'completion', exchange),
    '/v1/classify': (body, exchange) => this.#classify(parseClassify(body), exchange),
  };

  constructor(process: ModelProcess, settings: ServerSettings, loopbackPort: number | null) {
    this.#process = process;
    this.#settings = settings;
    this.#loopbackPort = loopbackPort;
  }

  get facts(): ServedFacts {
    return this.#process.facts;
  }

  get state(): ServerState {
    return { busy: this.#process.busy, waiting: this.#process.waiting, answered: this.#answered };
  }

  async receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#open += 1;
    response.once('close', () => {
      this.#open -= 1;
      this.#tellQuiet();
    });
    response.setHeader('Cache-Control', 'no-store');
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (this.#closing) response.setHeader('Connection', 'close');
    try {
      await this.#route(request, response);
    } catch (thrown) {
      request.resume();
      refuse(response, asRefusal(thrown));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#assertOurs(request);
    const path = URL.parse(request.url ?? '/', 'http://127.0.0.1')?.pathname ?? '';
    const get = request.method === 'GET';
    if (get && path === '/health') {
      // Without a token, so that a service manager can ask; it says nothing of anybody's texts.
      const { busy, waiting } = this.state;
      const { conversations } = this.facts;
      sendJson(response, 200, { status: 'ok', model: this.#settings.name, conversations, busy, waiting });
      return;
    }
    const handler = Object.hasOwn(this.#handlers, path) ? this.#handlers[path]! : null;
    const model = /^\/v1\/models(?:\/(.+))?$/.exec(path);
    if (handler === null && model === null)
      throw new Refusal(404, 'not_found', { id: 'serving.no-path', params: { path } });
    if (get !== (model !== null))
      throw new Refusal(405, 'method_not_allowed', { id: 'serving.method', params: { path, post: model === null } });
    this.#assertToken(request, response);
    if (handler === null) {
      this.#sayModels(response, model?.[1]);
      return;
    }
    const body = await readBody(request, this.#settings.mostBodyBytes ?? defaults.mostBodyBytes);
    await this.#admit(response, (exchange) => handler(body, exchange));
  }

  #assertOurs(request: IncomingMessage): void {
    const { host, origin } = request.headers;
    if (this.#loopbackPort !== null && !isLoopbackHost(host, this.#loopbackPort))
      throw new Refusal(403, 'host_refused', { id: 'serving.host' });
    if (origin !== undefined && !(this.#loopbackPort !== null && isLoopbackOrigin(origin, this.#loopbackPort)))
      throw new Refusal(403, 'origin_refused', { id: 'serving.origin' });
  }

  #assertToken(request: IncomingMessage, response: ServerResponse): void {
    const { token } = this.#settings;
    if (token === null) return;
    const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (given !== undefined && sameSecret(given, token)) return;
    response.setHeader('WWW-Authenticate', 'Bearer');
    throw new Refusal(401, 'invalid_api_key', { id: 'serving.token' });
  }

  #sayModels(response: ServerResponse, wanted: string | undefined): void {
    const { name } = this.#settings;
    if (wanted !== undefined) this.#assertModel(decodeURIComponent(wanted));
    const model = { id: name, object: 'model', created: startedSeconds, owned_by: 'tritsmith' };
    sendJson(response, 200, wanted === undefined ? { object: 'list', data: [model] } : model);
  }

  #assertModel(wanted: string | undefined): void {
    const { name } = this.#settings;
    if (wanted !== undefined && wanted !== name)
      throw new Refusal(404, 'model_not_found', { id: 'serving.no-model', params: { wanted, name } }, 'model');
  }

  /** Runs `work` unless too many wait already. */
  async #admit(response: ServerResponse, work: (exchange: Exchange) => Promise<void>): Promise<void> {
    if (this.#closing) throw new Refusal(503, 'shutting_down', { id: 'serving.ending' });
    const most = this.#process.size + (this.#settings.queue ?? defaults.queue);
    if (this.#inside >= most) {
      response.setHeader('Retry-After', String(Math.ceil((this.#seconds * this.#inside) / this.#process.size)));
      throw new Refusal(429, 'queue_full', { id: 'serving.queue-full', params: { most } });
    }
    this.#inside += 1;
    const gone = new AbortController();
    response.on('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    const seconds = this.#settings.answerSeconds ?? defaults.answerSeconds;
    const late = AbortSignal.timeout(seconds * 1000);
    const started = performance.now();
    const interrupted = (): Refusal =>
      late.aborted
        ? new Refusal(504, 'timeout', { id: 'serving.too-slow', params: { seconds } })
        : new Refusal(503, 'shutting_down', { id: 'serving.ending' });
    const signal = AbortSignal.any([gone.signal, late, this.#ending.signal]);
    try {
      await work({ response, signal, interrupted });
      this.#answered += 1;
      this.#seconds += ((performance.now() - started) / 1000 - this.#seconds) / 8;
    } catch (thrown) {
      // Whatever went wrong after that went wrong because of it.
      throw signal.aborted ? interrupted() : thrown;
    } finally {
      this.#inside -= 1;
    }
  }

  async #write(request: Writing, kind: 'chat' | 'completion', { response, signal, interrupted }: Exchange) {
    this.#assertModel(request.model);
    const heading: Heading = {
      id: `${kind === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomBytes(12).toString('hex')}`,
      created: Math.floor(Date.now() / 1000),
      model: this.#settings.name,
    };
    const shape = kind === 'chat' ? chatShape(heading) : completionShape(heading);
    const { prompt, maxTokens, topP, stop } = request;
    const asked = {
      prompt: typeof prompt === 'string' ? prompt : [...prompt],
      maxTokens,
      // A task's student answers as it was evaluated; other models as the interface says.
      temperature: request.temperature ?? (this.facts.chat === 'task' ? 0 : 1),
      topP,
      stop,
      seed: request.seed ?? randomInt(2 ** 32),
    };
    let text = '';
    const stream = request.stream ? new EventStream(response, shape, kind === 'chat') : null;
    const written = await this.#process.write(asked, signal, (piece) => {
      if (stream === null) text += piece;
      else stream.send({ text: piece });
    });
    if (signal.aborted) throw interrupted();
    const finish = finishOf(written);
    if (stream === null) {
      sendJson(response, 200, shape.whole(text, finish, usageOf(written)));
      return;
    }
    stream.send({ finish });
    if (request.streamUsage) stream.send({ usage: usageOf(written) });
    stream.end();
  }

  async #classify({ model, rows, unsureBelow }: Classifying, { response, signal, interrupted }: Exchange) {
    this.#assertModel(model);
    const { labels, textColumns } = this.facts;
    if (labels === null) throw new Refusal(400, 'not_a_classifier', { id: 'serving.no-labels' });
    const inputs = rows.map((row, index) => columnsOf(row, index, textColumns));
    const data: object[] = [];
    let promptTokens = 0;
    let next = 0;
    // Each text waits for a conversation anew, so that other clients have their turns between them.
    const some = async (): Promise<void> => {
      while (next < inputs.length) {
        const index = next++;
        const scored = await this.#process.score(inputs[index]!, signal);
        if (signal.aborted) throw interrupted();
        promptTokens += scored.promptTokens;
        data[index] = classificationOf(index, scored, unsureBelow);
      }
    };
    await Promise.all(Array.from({ length: Math.min(this.#process.size, inputs.length) }, some));
    sendJson(response, 200, {
      object: 'list',
      model: this.#settings.name,
      labels,
      data,
      usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
    });
  }

  /** Resolves when all is answered, at the latest a second after the grace. Asked again, the newer grace holds. */
  async end(graceSeconds: number): Promise<void> {
    this.#closing = true;
    this.#tellQuiet();
    clearTimeout(this.#grace);
    this.#grace = setTimeout(() => {
      this.#ending.abort();
      // Those that compute end with the process.
      this.#process.close();
      // Clients that read nothing are not waited for.
      this.#grace = setTimeout(this.#quiet.resolve, lastWordsMilliseconds, undefined);
    }, graceSeconds * 1000);
    await this.#quiet.promise;
    clearTimeout(this.#grace);
    this.#process.close();
  }

  #tellQuiet(): void {
    if (this.#closing && this.#open === 0) this.#quiet.resolve(undefined);
  }
}

const startedSeconds = Math.floor(Date.now() / 1000);

function finishOf({ reason }: Written): 'stop' | 'length' {
  return reason === 'length' ? 'length' : 'stop';
}

/** The text columns of a row that may be given as a text alone. @throws Refusal */
function columnsOf(
  row: string | Readonly<Record<string, string>>,
  index: number,
  columns: readonly string[],
): Record<string, string> {
  const [only] = columns;
  const values = typeof row !== 'string' ? row : columns.length === 1 && only !== undefined ? { [only]: row } : {};
  const missing = columns.filter((column) => !Object.hasOwn(values, column));
  if (missing.length > 0)
    throw new Refusal(400, 'columns', { id: 'serving.columns', params: { index, columns } }, `input.${String(index)}`);
  if (columns.every((column) => values[column]!.trim() === ''))
    throw new Refusal(400, 'no_text', { id: 'serving.no-text', params: { columns } }, `input.${String(index)}`);
  return Object.fromEntries(columns.map((column) => [column, values[column]!]));
}

/** Server-sent events. The head goes out with the first of them: what fails before still has its status. */
class EventStream {
  readonly #response: ServerResponse;
  readonly #shape: AnswerShape;
  readonly #opening: boolean;

  constructor(response: ServerResponse, shape: AnswerShape, opening: boolean) {
    this.#response = response;
    this.#shape = shape;
    this.#opening = opening;
  }

  send(piece: Parameters<AnswerShape['piece']>[0]): void {
    if (!this.#response.headersSent) {
      this.#response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
      if (this.#opening) sendEvent(this.#response, this.#shape.piece({ first: true }));
    }
    sendEvent(this.#response, this.#shape.piece(piece));
  }

  end(): void {
    this.#response.end('data: [DONE]\n\n');
  }
}

function sendEvent(response: ServerResponse, body: object): void {
  response.write(`data: ${JSON.stringify(body)}\n\n`);
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}

/** As an answer, or within a stream that has begun as its last event. */
function refuse(response: ServerResponse, refusal: Refusal): void {
  if (response.destroyed || response.writableEnded) return;
  if (!response.headersSent) sendJson(response, refusal.status, refusal.body);
  else {
    sendEvent(response, refusal.body);
    response.end();
  }
}

/** @throws Refusal: no JSON, too many bytes */
async function readBody(request: IncomingMessage, most: number): Promise<unknown> {
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  if (type !== 'application/json') throw new Refusal(415, 'not_json', { id: 'serving.not-json' });
  const tooLong = new Refusal(413, 'body_too_long', { id: 'serving.body-too-long', params: { most } });
  if (Number(request.headers['content-length'] ?? 0) > most) throw tooLong;
  const chunks: Buffer[] = [];
  let size = 0;
  // What is left of a body that is refused is read past, so that the client hears why.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > most) throw tooLong;
    chunks.push(chunk);
  }
  try {
    return parseBoundedJson(Buffer.concat(chunks), 'The request', mostDepth);
  } catch {
    throw new Refusal(400, 'not_json', { id: 'serving.not-json' });
  }
}

function listen(http: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      reject(new TritsmithError('not-writable', 'server.port', { port, problem: error.message }));
    });
    http.listen(port, host, () => {
      resolve();
    });
  });
}
