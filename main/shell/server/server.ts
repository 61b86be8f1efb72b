/** The interface in a browser: the built page and the contract over WebSocket, on the loopback address alone. */
import { RPCHandler } from '@orpc/server/ws';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { TritsmithError } from '../../contract/errors.ts';
import type { Application } from '../../workbench/application.ts';
import { workbenchRouter } from '../../workbench/procedures/router.ts';
import { Access } from './access.ts';
import type { Refusal } from './access.ts';
import { securityHeaders, sendPageFile } from './page-files.ts';
import { receiveUpload } from './upload.ts';

export interface RunningServer {
  readonly port: number;
  /** A link that opens the interface once. */
  newLink(): string;
  close(): Promise<void>;
}

const MOST_MESSAGE_BYTES = 16 * 1024 * 1024;
const refusals: Record<Refusal, string> = {
  host: 'This address is not served here.',
  origin: 'Requests from other pages are refused.',
  session:
    'This link was used already, or the workbench was started anew.\nPress Enter in the terminal of "npm run serve" for a new link, or start it again.',
};

/** Serves `application` with the page in `pageFolder` on 127.0.0.1. `port` 0 takes any free one. */
export async function startServer(application: Application, pageFolder: string, port = 0): Promise<RunningServer> {
  const http = createServer();
  await listen(http, port);
  const actual = (http.address() as AddressInfo).port;
  const access = new Access(actual);
  const headers = securityHeaders(actual);
  http.on('request', (request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    void answer(request, response, access, application, pageFolder);
  });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MOST_MESSAGE_BYTES });
  const handler = new RPCHandler(workbenchRouter());
  http.on('upgrade', (request, socket, head) => {
    if (request.url !== '/procedures' || access.refusal(request, 'required') !== null) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      void handler.upgrade(webSocket, { context: { application } });
    });
  });
  return {
    port: actual,
    newLink: () => `http://127.0.0.1:${String(actual)}/?token=${access.issueToken()}`,
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
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://127.0.0.1');
  const token = url.searchParams.get('token');
  if (request.method === 'GET' && token !== null && access.hostIsOurs(request)) {
    const cookie = access.redeem(token);
    if (cookie !== null) {
      // A page of our own sends the browser on: a redirect after a click elsewhere would not carry a strict cookie.
      response.writeHead(200, { 'Set-Cookie': cookie, Refresh: '0; url=/', 'Content-Type': 'text/html' });
      response.end('<!doctype html><title>Tritsmith</title><link rel="icon" href="data:,">');
      return;
    }
  }
  const refusal = access.refusal(request, request.method === 'GET' ? 'optional' : 'required');
  if (refusal !== null) {
    response.writeHead(403, { 'Content-Type': 'text/plain' }).end(`${refusals[refusal]}\n`);
    return;
  }
  if (request.method === 'GET') sendPageFile(pageFolder, url.pathname, response);
  else if (request.method === 'POST' && url.pathname === '/upload') await upload(request, response, application, url);
  else response.writeHead(405).end();
}

async function upload(
  request: IncomingMessage,
  response: ServerResponse,
  application: Application,
  url: URL,
): Promise<void> {
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  };
  try {
    const name = url.searchParams.get('name') ?? '';
    send(200, { path: await receiveUpload(request, name, application.workspace.paths.folder) });
  } catch (thrown) {
    request.resume();
    send(422, TritsmithError.from(thrown).serialise());
  }
}

function listen(http: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new TritsmithError('not-writable', `The port ${String(port)} cannot be used.`, {
          reason: error.message,
          remedy: 'Choose another one with --port, or leave it out.',
        }),
      );
    });
    http.listen(port, '127.0.0.1', () => {
      resolve();
    });
  });
}
