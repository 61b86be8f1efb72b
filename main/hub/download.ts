/**
 * Fetches a model's files into a folder that appears whole or not at all. Until then everything lies in a folder beside it, in files
 * that grow as `<name>.incomplete`: a download that was killed goes on where they end.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { noSpace, TritsmithError } from '../contract/errors.ts';
import type { MessageParams } from '../contract/messages/message.ts';
import { type HubFile, hubPlan, type HubPlan } from '../contract/hub.ts';
import type { HubClient } from './hub-client.ts';
import { resolvePath } from './hub-models.ts';

/** Attempts that bring nothing new before it is given up. */
const mostFailures = 5;
const planName = 'download.json';

export interface DownloadProgress {
  readonly state: 'running' | 'checking';
  /** Name of the file that is worked on. */
  readonly file: string;
  readonly doneBytes: number;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** First pause between attempts; doubles each time. Default 500. */
  readonly retryMilliseconds?: number;
  /** A connection that brings nothing for so long is given up. Default 60 000. */
  readonly silenceMilliseconds?: number;
}

/** The folder in which the files of `target` grow. */
export function partialFolder(target: string): string {
  return `${target}.incomplete`;
}

/** Downloads that were begun among the neighbours of `target`s in `folder`, with what each has so far. Unreadable ones are left out. */
export async function unfinishedDownloads(
  folder: string,
): Promise<{ target: string; plan: HubPlan; doneBytes: number }[]> {
  const names = await readdir(folder).catch(() => []);
  const found = [];
  for (const name of names.filter((each) => each.endsWith('.incomplete'))) {
    const target = join(folder, name.slice(0, -'.incomplete'.length));
    const plan = await readPlan(partialFolder(target));
    if (plan !== null) found.push({ target, plan, doneBytes: await bytesThere(partialFolder(target), plan) });
  }
  return found;
}

/** Forgets a download that was begun: nothing of it stays. */
export async function discardDownload(target: string): Promise<void> {
  await rm(partialFolder(target), { recursive: true, force: true });
}

/**
 * Fetches `plan` into `target`, going on from what an earlier attempt at the same revision left. Every file is checked against the
 * Hub's checksum. On an error or when `signal` aborts, what is there stays for the next attempt; `discardDownload` removes it.
 * @throws TritsmithError `unreachable`, `forbidden`, `not-found`, `damaged` (checksum), `no-space`, `stopped`
 */
export async function downloadModel(
  client: HubClient,
  plan: HubPlan,
  target: string,
  options: DownloadOptions = {},
): Promise<void> {
  const folder = partialFolder(target);
  try {
    const earlier = await readPlan(folder);
    if (earlier === null || JSON.stringify(earlier) !== JSON.stringify(plan)) {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFile(join(folder, planName), JSON.stringify(plan), { flush: true });
    }
    let before = 0;
    for (const file of plan.files) {
      const begun = before;
      await fetchFile(client, plan, file, folder, options, (state, bytes) =>
        options.onProgress?.({ state, file: file.name, doneBytes: begun + bytes }),
      );
      before += file.bytes;
    }
    await rm(join(folder, planName));
    await rename(folder, target);
    await syncFolder(dirname(target));
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
}

async function fetchFile(
  client: HubClient,
  plan: HubPlan,
  file: HubFile,
  folder: string,
  options: DownloadOptions,
  tell: (state: DownloadProgress['state'], bytes: number) => void,
): Promise<void> {
  const whole = join(folder, file.name);
  const growing = `${whole}.incomplete`;
  if ((await sizeOf(whole)) === file.bytes) {
    tell('running', file.bytes);
    return;
  }
  let size = await sizeOf(growing);
  for (let failures = 0; size !== file.bytes;) {
    if (size > file.bytes) {
      await rm(growing, { force: true });
      size = 0;
    }
    try {
      await fetchRest(client, plan, file, growing, size, options, tell);
    } catch (thrown) {
      const error = TritsmithError.from(thrown);
      if (options.signal?.aborted === true) throw new TritsmithError('stopped', 'download.stopped');
      if (error.code !== 'unreachable') throw error;
      failures = (await sizeOf(growing)) > size ? 1 : failures + 1;
      if (failures >= mostFailures) throw error;
      await delay((options.retryMilliseconds ?? 500) * 2 ** (failures - 1), undefined, {
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      }).catch(() => undefined);
    }
    size = await sizeOf(growing);
  }
  if (file.bytes === 0) await writeFile(growing, '');
  tell('checking', file.bytes);
  await check(file, growing, plan.id);
  await rename(growing, whole);
}

/** One request for what is missing from byte `from` on, appended to `growing`. Resolves when the answer ended, whole or not. */
async function fetchRest(
  client: HubClient,
  plan: HubPlan,
  file: HubFile,
  growing: string,
  from: number,
  options: DownloadOptions,
  tell: (state: DownloadProgress['state'], bytes: number) => void,
): Promise<void> {
  const path = resolvePath(plan.id, plan.revision, file.name);
  const answer = await client.open(path, from > 0 ? { range: `bytes=${String(from)}-` } : {}, options.signal);
  const reader = answer.body.getReader();
  // The revision is a commit, so another hash at this address means that the server does not have what was described.
  const other = answer.contentHash !== null && answer.contentHash !== file.digest.hex;
  const continues = answer.status === 206 && startsAt(answer.headers, from, file.bytes);
  if (other || answer.status === 416 || (answer.status === 206 && !continues)) {
    await reader.cancel();
    await rm(growing, { force: true });
    throw other
      ? damaged(plan.id, file.name, 'changed')
      : new TritsmithError('unreachable', 'download.does-not-go-on', { name: file.name });
  }
  const handle = await open(growing, continues ? 'a' : 'w', 0o600);
  let position = continues ? from : 0;
  const silence = options.silenceMilliseconds ?? 60_000;
  let silent = false;
  const onSilence = (): void => {
    silent = true;
    void reader.cancel();
  };
  let timer = setTimeout(onSilence, silence);
  const stop = (): void => void reader.cancel().catch(() => undefined);
  options.signal?.addEventListener('abort', stop);
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(timer);
      if (position + part.value.byteLength > file.bytes) throw damaged(plan.id, file.name, 'longer');
      await handle.writeFile(part.value);
      position += part.value.byteLength;
      tell('running', position);
      timer = setTimeout(onSilence, silence);
    }
    await handle.sync();
  } catch (thrown) {
    if (['ENOSPC', 'EDQUOT'].includes((thrown as NodeJS.ErrnoException).code ?? '')) {
      const { bavail, bsize } = await statfs(dirname(growing));
      throw noSpace(growing, { needed: file.bytes - position, free: bavail * bsize });
    }
    if (thrown instanceof TritsmithError || isOfTheDisk(thrown)) throw thrown;
    throw brokeOff(file.name, thrown instanceof Error ? thrown.message : String(thrown));
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', stop);
    await reader.cancel().catch(() => undefined);
    await handle.close();
  }
  if (position < file.bytes)
    throw brokeOff(file.name, silent ? 'nothing came for a minute' : 'the connection ended early');
}

async function check(file: HubFile, path: string, id: string): Promise<void> {
  const hash = createHash(file.digest.kind === 'sha256' ? 'sha256' : 'sha1');
  if (file.digest.kind === 'git-blob') hash.update(`blob ${String(file.bytes)}\0`);
  for await (const part of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(part as Buffer);
  const found = hash.digest('hex');
  if (found === file.digest.hex) return;
  await rm(path, { force: true });
  throw damaged(id, file.name, { found, expected: file.digest.hex });
}

function damaged(id: string, name: string, how: MessageParams<'download.differs'>['how']): TritsmithError {
  return new TritsmithError('damaged', 'download.differs', { id, name, how });
}

function brokeOff(name: string, reason: string): TritsmithError {
  return new TritsmithError('unreachable', 'download.broke-off', { name, reason });
}

function isOfTheDisk(thrown: unknown): boolean {
  const { syscall } = thrown as NodeJS.ErrnoException;
  return syscall === 'write' || syscall === 'fsync' || syscall === 'open';
}

/** `Content-Range: bytes 5-99/100` for the range that was asked for. */
function startsAt(headers: Headers, from: number, total: number): boolean {
  const [, start, whole] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
  return Number(start) === from && (whole === '*' || Number(whole) === total);
}

async function readPlan(folder: string): Promise<HubPlan | null> {
  try {
    return hubPlan.parse(JSON.parse(await readFile(join(folder, planName), 'utf8')));
  } catch {
    return null;
  }
}

async function bytesThere(folder: string, plan: HubPlan): Promise<number> {
  let sum = 0;
  for (const { name } of plan.files)
    sum += (await sizeOf(join(folder, name))) || (await sizeOf(join(folder, `${name}.incomplete`)));
  return sum;
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}

/** Makes the rename durable; Windows cannot open folders and needs no such call. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
