/** The one connection to the workbench: WebSocket in a browser, a message port in Electron. Reconnects by itself. */
import { type ClientLink, createORPCClient, isDefinedError, ORPCError } from '@orpc/client';
import { RPCLink as PortLink } from '@orpc/client/message-port';
import { RPCLink as SocketLink } from '@orpc/client/websocket';
import { ref } from 'vue';
import type { WorkbenchClient } from '../main/contract/procedures.ts';
import { openSession } from './session.ts';
import { texts } from './texts.ts';

type Link = ClientLink<Record<never, never>>;

/** What Electron's preload offers; absent in a browser. */
export interface Bridge {
  /** Null for what was not dropped from a folder of this machine. */
  pathOfFile(file: File): Promise<string | null>;
  chooseFolder(): Promise<string | null>;
  chooseFile(): Promise<string | null>;
}
export const bridge = (globalThis as { tritsmith?: Bridge }).tritsmith ?? null;

export const connected = ref(false);
/** The workbench does not know this page: its link was used already, or was for an earlier start. */
export const refused = ref(false);
/** Grows with each new connection, and whenever what the page knows must be read again: watchers then begin again. */
export const connections = ref(0);

let current: Promise<Link>;
let retry = 250;

function connect(): void {
  current = bridge === null ? openSocket() : openPort();
  current.catch(() => undefined);
}

function openPort(): Promise<Link> {
  const { port1, port2 } = new MessageChannel();
  globalThis.postMessage('tritsmith:connect', '*', [port2]);
  port1.start();
  opened();
  return Promise.resolve(new PortLink({ port: port1 }));
}

async function openSocket(): Promise<Link> {
  try {
    const session = await openSession();
    if (session !== null) return await connectSocket(session);
    refused.value = true;
  } catch {
    // The workbench is not there (yet).
  }
  connected.value = false;
  if (!refused.value) later();
  throw new Error(texts.connection.lost);
}

function connectSocket(session: string): Promise<Link> {
  return new Promise((resolve, reject) => {
    const address = `${location.origin.replace(/^http/, 'ws')}/procedures`;
    const socket = new WebSocket(address, ['tritsmith', session]);
    let wasOpen = false;
    socket.addEventListener('open', () => {
      wasOpen = true;
      opened();
      resolve(new SocketLink({ websocket: socket }));
    });
    socket.addEventListener('close', () => {
      reject(new Error(texts.connection.lost));
      if (!wasOpen) return;
      connected.value = false;
      later();
    });
  });
}

function later(): void {
  setTimeout(connect, retry);
  retry = Math.min(5000, retry * 2);
}

function opened(): void {
  connected.value = true;
  connections.value += 1;
  retry = 250;
}

connect();

export const client: WorkbenchClient = createORPCClient({
  call: async (path, input, options) => (await current).call(path, input, options),
} satisfies Link);

/** What a person is told: what happened, why, what to do next. */
export interface Problem {
  readonly code?: string | undefined;
  /** The message in the catalogue, where it has one; ProblemPanel says it in the page's words. */
  readonly id?: string | undefined;
  readonly params?: unknown;
  readonly message: string;
  readonly cause?: string | undefined;
  readonly remedy?: string | undefined;
  readonly details?: string | undefined;
}

export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof ORPCError && isDefinedError(thrown)) return thrown.data as Problem;
  if (thrown instanceof ORPCError && thrown.code === 'BAD_REQUEST')
    return { message: texts.connection.refusedInput, details: JSON.stringify(thrown.data, null, 2) };
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (!connected.value) return { message: texts.connection.lost, remedy: texts.connection.lostRemedy };
  return { message };
}
