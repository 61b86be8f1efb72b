/** The interface in a browser: the built page and the contract over WebSocket, on the loopback address alone. */
import { RPCHandler } from '@orpc/server/ws';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { TritsmithError } from '../../contract/errors.ts';
import type { Application } from '../../workbench/interface/application.ts';
import { workbenchRouter } from '../../workbench/interface/procedures/router.ts';
import { Access, type Refusal } from './access.ts';
import { securityHeaders, sendPageFile } from './page-files.ts';
import { receiveUpload } from './upload.ts';

export interface RunningServer {
  readonly port: number;
  /** A link that opens the interface once. The token is in the fragment, which browsers send to nobody. */
  newLink(): string;
  close(): Promise<void>;
}

export interface ServerOptions {
  /** 0 takes any free one. */
  readonly port?: number;
  /** Called when the link has been used. */
  readonly onOpened?: () => void;
}

const mostMessageBytes = 16 * 1024 * 1024;
const mostCredentialBytes = 4096;
/** The WebSocket's subprotocol; the session follows it as a second one, since a page can't set headers there. */
const subprotocol = 'tritsmith';
const refusals: Record<Exclude<Refusal, 'host'>, string> = {
  origin: 'Requests from other pages are refused.',
  session: 'This link was used already, or the workbench was started anew.',
};

/** What a person types on another machine to reach a workbench on this one. */
export const tunnel = (port: string): string => `ssh -L ${port}:127.0.0.1:${port} <the machine>`;

/** A page's addresses hold the port, so a tunnel must keep it; whoever comes through one that does not is told. */
function foreignHost(host: string | undefined, port: number): string {
  const own = String(port);
  return /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host ?? '')
    ? `This workbench is on port ${own}, and you came through another one. Forward the same port, for example with\n\n  ${tunnel(own)}\n\nand open the link as it was printed. Where port ${own} is taken on your side, start the workbench with --port and another number.`
    : 'This address is not served here.';
}

/** Serves `application` with the page in `pageFolder` on 127.0.0.1. */
export async function startServer(
  application: Application,
  pageFolder: string,
  options: ServerOptions = {},
): Promise<RunningServer> {
  const http = createServer({ maxHeaderSize: 16 * 1024 });
  await listen(http, options.port ?? 0);
  const { port } = http.address() as AddressInfo;
  const access = new Access(port);
  const headers = securityHeaders(port);
  http.on('request', (request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    void answer(request, response, access, application, pageFolder, options.onOpened);
  });
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: mostMessageBytes,
    perMessageDeflate: false,
    handleProtocols: () => subprotocol,
  });
  const handler = new RPCHandler(workbenchRouter());
  http.on('upgrade', (request, socket, head) => {
    const [name, session] = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((part) => part.trim());
    const allowed = access.refusal(request, 'required') === null && name === subprotocol && access.knows(session);
    if (request.url !== '/procedures' || !allowed) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      // A message beyond the limit ends the connection; the page connects again.
      webSocket.on('error', () => undefined);
      void handler.upgrade(webSocket, { context: { application } });
    });
  });
  return {
    port,
    newLink: () => `http://127.0.0.1:${String(port)}/#token=${access.issueToken()}`,
    close: async () => {
      for (const client of sockets.clients) client.terminate();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  access: Access,
  application: Application,
  pageFolder: string,
  onOpened: (() => void) | undefined,
): Promise<void> {
  const url = URL.parse(request.url ?? '/', 'http://127.0.0.1');
  const refuse = (why: Refusal): void => {
    request.resume();
    const text = why === 'host' ? foreignHost(request.headers.host, access.port) : refusals[why];
    response.writeHead(403, { 'Content-Type': 'text/plain' }).end(`${text}\n`);
  };
  const refusal = access.refusal(request, request.method === 'GET' ? 'optional' : 'required');
  if (refusal !== null) {
    refuse(refusal);
    return;
  }
  if (url === null) {
    response.writeHead(400).end();
    return;
  }
  if (request.method === 'GET') {
    // The page itself holds nothing of anyone's; what it shows comes over the WebSocket.
    sendPageFile(pageFolder, url.pathname, response);
    return;
  }
  if (request.method !== 'POST') {
    response.writeHead(405).end();
    return;
  }
  if (url.pathname === '/session') {
    const session = await openSession(request, access, onOpened);
    if (session === null) refuse('session');
    else sendJson(response, 200, { session });
    return;
  }
  if (!access.knows(/^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1])) refuse('session');
  else if (url.pathname === '/upload') await upload(request, response, application, url);
  else response.writeHead(404).end();
}

/** The session of a one-time token, or the one that the page had and that is still good; null for neither. */
async function openSession(
  request: IncomingMessage,
  access: Access,
  onOpened: (() => void) | undefined,
): Promise<string | null> {
  let text = '';
  try {
    for await (const chunk of request) {
      text += String(chunk);
      if (text.length > mostCredentialBytes) return null;
    }
    const { token, session } = JSON.parse(text) as { token?: unknown; session?: unknown };
    if (typeof token === 'string') {
      const redeemed = access.redeem(token);
      if (redeemed !== null) {
        onOpened?.();
        return redeemed;
      }
    }
    return typeof session === 'string' && access.knows(session) ? session : null;
  } catch {
    return null;
  }
}

async function upload(
  request: IncomingMessage,
  response: ServerResponse,
  application: Application,
  url: URL,
): Promise<void> {
  try {
    const name = url.searchParams.get('name') ?? '';
    sendJson(response, 200, { path: await receiveUpload(request, name, application.workspace.paths.folder) });
  } catch (thrown) {
    request.resume();
    sendJson(response, 422, TritsmithError.from(thrown).serialise());
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(body));
}

function listen(http: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      reject(new TritsmithError('not-writable', 'server.port', { port, problem: error.message }));
    });
    http.listen(port, '127.0.0.1', () => {
      resolve();
    });
  });
}
