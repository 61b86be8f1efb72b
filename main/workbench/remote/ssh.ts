/**
 * The only place that speaks to another computer: one plain `ssh` a request, with the user's own configuration, keys and agent. The remote command is fixed
 * but for the quoted folder; everything else is JSON on the standard input of Tritsmith's `remote-agent` there. Nothing is forwarded and no password asked.
 */
import { spawn } from 'node:child_process';
import type { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import {
  agentMark,
  longestLine,
  remoteAnswer,
  type RemotePlace,
  remoteProtocol,
  type RemoteRequest,
} from '../../contract/remote.ts';
import { programVersions } from '../machine/machine.ts';
import { ByteReader } from './byte-reader.ts';

export const defaultFolder = 'tritsmith';

/** `user@host:folder` or a name of the ssh configuration (an IPv6 address needs one). @throws TritsmithError `bad-input` */
export function placeOf(text: string): RemotePlace {
  const [, host, , folder] = /^((?:\w[\w.-]*@)?\w[\w.-]*)(:(.*))?$/s.exec(text) ?? [];
  const usable = host !== undefined && !/[\0\r\n]/.test(folder ?? '');
  if (!usable) throw new TritsmithError('bad-input', 'remote.bad-place', { text });
  const below = (folder ?? '').replace(/^~(?:\/|$)/, '');
  return { host, folder: below === '' ? (folder ? '.' : defaultFolder) : below };
}

export function placeText({ host, folder }: RemotePlace): string {
  return folder === defaultFolder ? host : `${host}:${folder}`;
}

/** Exit codes of the remote command, apart from those of ssh (255) and of shells (126, 127). */
const noFolder = 97;
const noNode = 98;

/**
 * What the other side runs, in one line without quotes of its own, so that every login shell hands it on. A clone starts on the Node that it installed, so that the short PATH of such a command does not matter; where
 * it has none yet, on one of the PATH.
 */
const remoteScript = [
  `cd -- "$1" 2>/dev/null || exit ${noFolder}`,
  'if [ -f .ci/launch.mjs ]; then for node in node_modules/node-*/bin/node "$(command -v node)"',
  'do [ -x "$node" ] && exec "$node" .ci/launch.mjs main/shell/cli/main.ts remote-agent',
  `done; exit ${noNode}; fi`,
  `[ -x ./tritsmith ] && [ -d engine ] || exit ${noFolder}`,
  'exec ./tritsmith remote-agent',
].join('; ');

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

export function sshArguments({ host, folder }: RemotePlace): string[] {
  return [
    ...['-T', '-a', '-x'],
    ...['-o', 'BatchMode=yes'],
    ...['-o', 'ClearAllForwardings=yes'],
    ...['-o', 'ConnectTimeout=20'],
    // A connection that says nothing for a minute is gone.
    ...['-o', 'ServerAliveInterval=15'],
    ...['-o', 'ServerAliveCountMax=4'],
    '--',
    host,
    `exec /bin/sh -c ${quoted(remoteScript)} tritsmith ${quoted(folder)}`,
  ];
}

/** The other side of one request. */
export interface Agent {
  /** Sends bytes behind the request; resolves when more may follow. */
  send(bytes: Uint8Array): Promise<void>;
  /** The next answer. @throws TritsmithError what the other side threw; `unreachable` where none comes */
  answer<T>(schema: z.ZodType<T>): Promise<T>;
  /** The next answer, which is never null itself; null where the other side has ended well. */
  next<T>(schema: z.ZodType<T>): Promise<T | null>;
  /** The next `count` bytes. @throws TritsmithError where fewer come */
  bytes(count: number): AsyncIterable<Uint8Array>;
}

/**
 * Asks the agent at `place`, and hands what it says to `talk`. The connection ends with `talk`: until then its input stays open, so that the other side
 * can tell a connection that is gone.
 * @throws TritsmithError faults of the connection and of the other side, in words
 */
export async function withAgent<T>(
  place: RemotePlace,
  request: RemoteRequest,
  talk: (agent: Agent) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const child = spawn('ssh', sshArguments(place), { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-8000)));
  // Where the other side ends early its own words and exit code say why.
  child.stdin.on('error', () => undefined);
  const exit = new Promise<{ code: number | null; missing: boolean }>((resolve) => {
    child.once('error', () => {
      resolve({ code: null, missing: child.pid === undefined });
    });
    child.once('close', (code) => {
      resolve({ code, missing: false });
    });
  });
  const abort = (): void => void child.kill();
  signal?.addEventListener('abort', abort);
  const reader = new ByteReader(child.stdout as AsyncIterable<Uint8Array>);
  let greeted = false;

  const fault = async (): Promise<TritsmithError> => {
    const { code, missing } = await exit;
    if (missing) return new TritsmithError('not-found', 'remote.no-ssh');
    return faultOf(place, code, said, greeted);
  };
  const line = async (): Promise<string | null> => {
    while (!greeted) {
      const text = await reader.line(longestLine);
      if (text === null) return null;
      if (!text.startsWith(`${agentMark} `)) continue;
      greeted = true;
      assertSameVersion(place.host, text.slice(agentMark.length + 1));
    }
    return reader.line(longestLine);
  };
  const next: Agent['next'] = async (schema) => {
    const text = await line();
    if (text === null) {
      if (greeted && (await exit).code === 0) return null;
      throw await fault();
    }
    return understood(place.host, text, schema);
  };
  try {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    return await talk({
      send: (bytes) =>
        new Promise((resolve) => {
          // The pipe may be gone; then nothing calls back but its end.
          if (child.stdin.writable) child.stdin.write(bytes, () => resolve());
          else resolve();
        }),
      next,
      answer: async (schema) => {
        const found = await next(schema);
        if (found === null) throw await fault();
        return found;
      },
      bytes: async function* (count) {
        let came = 0;
        for await (const piece of reader.bytes(count)) {
          came += piece.length;
          yield piece;
        }
        if (came < count) throw await fault();
      },
    });
  } finally {
    signal?.removeEventListener('abort', abort);
    child.stdin.end();
    child.stdout.destroy();
    child.kill();
  }
}

/** Asks for a single answer. */
export function ask<T>(
  place: RemotePlace,
  request: RemoteRequest,
  schema: z.ZodType<T>,
  signal?: AbortSignal,
): Promise<T> {
  return withAgent(place, request, (agent) => agent.answer(schema), signal);
}

function assertSameVersion(host: string, greeting: string): void {
  const [protocol, there] = greeting.split(' ');
  const here = programVersions()['tritsmith'] ?? 'unknown';
  if (protocol === String(remoteProtocol) && there === here) return;
  throw new TritsmithError('unsupported', 'remote.other-version', { host, here, there: there ?? null });
}

function understood<T>(host: string, text: string, schema: z.ZodType<T>): T {
  const bad = (problem: string): TritsmithError =>
    new TritsmithError('damaged', 'remote.bad-answer', { host, problem: problem.slice(0, 300) });
  let answer;
  try {
    answer = remoteAnswer.parse(JSON.parse(text));
  } catch (thrown) {
    throw bad((thrown as Error).message);
  }
  if ('error' in answer) throw TritsmithError.deserialise(answer.error);
  const parsed = schema.safeParse(answer.value);
  if (parsed.success) return parsed.data;
  throw bad(parsed.error.message);
}

/** What became of a connection that gave no answer. @param said standard error of ssh and of the other side */
function faultOf({ host, folder }: RemotePlace, code: number | null, said: string, greeted: boolean): TritsmithError {
  const words =
    said
      .split('\n')
      .map((text) => text.trim())
      .filter((text) => text !== '' && !/^@+$/.test(text))
      .slice(-3)
      .join(' ')
      .slice(0, 500) || 'It said nothing.';
  const more = { details: said };
  if (greeted) return new TritsmithError('unreachable', 'remote.broken', { host, said: words }, more);
  if (code === noFolder) return new TritsmithError('not-found', 'remote.no-program', { host, folder });
  if (code === noNode) return new TritsmithError('not-found', 'remote.no-node', { host, folder });
  if (/unknown command .?remote-agent/i.test(said)) {
    const here = programVersions()['tritsmith'] ?? 'unknown';
    return new TritsmithError('unsupported', 'remote.other-version', { host, here, there: null });
  }
  if (code !== 255) return new TritsmithError('unreachable', 'remote.no-answer', { host, said: words }, more);
  if (/host identification has changed/i.test(said))
    return new TritsmithError('forbidden', 'remote.host-changed', { host, said: words }, more);
  if (/host key verification failed|no .* host key is known/i.test(said))
    return new TritsmithError('forbidden', 'remote.host-unknown', { host, said: words }, more);
  if (/permission denied|too many authentication failures/i.test(said))
    return new TritsmithError('forbidden', 'remote.key-refused', { host, said: words }, more);
  return new TritsmithError('unreachable', 'remote.unreachable', { host, said: words }, more);
}
