/**
 * Files that are there whole or not at all: written under a temporary name in the same folder, fsync, rename, fsync of the folder. Artifacts of
 * any size are written asynchronously; small notes of the workbench, which must be there before its next line runs, synchronously.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { type FileHandle, open, rename, rm, statfs } from 'node:fs/promises';
import path from 'node:path';
import { noSpace, TritsmithError } from '../contract/errors.ts';

const largestWrite = 16 * 1024 * 1024;

/** What a writer of an atomic file is given. */
export interface AtomicFile {
  /** Bytes written so far at the end of the file. */
  readonly position: number;
  /** Appends; resolves when the operating system has the bytes. The caller may then reuse the buffer. */
  write(bytes: ArrayBufferView): Promise<void>;
}

const bytesOf = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(largestWrite, bytes.byteLength - done);
    const { bytesWritten } = await file.write(bytes, done, length, position + done);
    done += bytesWritten;
  }
}

/** Bytes that may still be written to the disk of `folder`; Infinity where the system does not say. */
async function freeBytes(folder: string): Promise<number> {
  return statfs(folder).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => Infinity,
  );
}

/** Names of temporary files differ, so that two writers of one target do not meet. */
function temporaryFor(target: string): string {
  return path.join(path.dirname(target), `.${path.basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
}

const isFull = (thrown: unknown) => ['ENOSPC', 'EDQUOT'].includes((thrown as NodeJS.ErrnoException).code ?? '');

async function fullDisk(target: string, needed: number, thrown?: Error): Promise<TritsmithError> {
  const free = await freeBytes(path.dirname(target));
  return noSpace(target, {
    needed,
    ...(Number.isFinite(free) ? { free } : {}),
    ...(thrown?.stack === undefined ? {} : { details: thrown.stack }),
  });
}

/** Makes a rename durable; Windows cannot open folders and needs no such call. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes `target` from a string (UTF-8), bytes, or a function that writes piece by piece. On any failure (of the disk or of the
 * function) nothing is left and an existing `target` stays as it was.
 * @param bytes how many there will be, where that is known beforehand: a disk that can't hold them is refused before anything is written
 * @throws TritsmithError: `no-space`, `not-writable`, `not-found` (the folder), or what the writer threw.
 */
export async function writeFileAtomically(
  target: string,
  content: string | ArrayBufferView | ((file: AtomicFile) => Promise<void> | void),
  bytes?: number,
): Promise<void> {
  const folder = path.dirname(target);
  const temporary = temporaryFor(target);
  let handle: FileHandle | undefined;
  let position = 0;
  try {
    if (bytes !== undefined && bytes > (await freeBytes(folder))) throw await fullDisk(target, bytes);
    handle = await open(temporary, 'wx');
    const opened = handle;
    const file: AtomicFile = {
      get position() {
        return position;
      },
      async write(view) {
        const bytes = bytesOf(view);
        const at = position;
        position += bytes.byteLength;
        await writeFully(opened, bytes, at);
      },
    };
    if (typeof content === 'string') await file.write(Buffer.from(content, 'utf8'));
    else if (typeof content === 'function') await content(file);
    else await file.write(content);
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, target);
    await syncFolder(folder);
  } catch (thrown) {
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    // What the writer threw on purpose (a stop, say) comes out as it is.
    if (isFull(thrown)) throw await fullDisk(target, bytes ?? position, thrown as Error);
    throw (thrown as NodeJS.ErrnoException).syscall === undefined ? thrown : TritsmithError.from(thrown);
  }
}

/**
 * Writes a small text at once, readable by its owner alone (mode 0600). On any failure an existing `target` stays as it was.
 * @throws TritsmithError `no-space`, and errors of the file system
 */
export function writeTextAtomicallySync(target: string, text: string): void {
  const temporary = temporaryFor(target);
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, target);
    if (process.platform === 'win32') return;
    const folder = openSync(path.dirname(target), 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (thrown) {
    rmSync(temporary, { force: true });
    if (!isFull(thrown)) throw thrown;
    const { bavail, bsize } = statfsSync(path.dirname(target));
    throw noSpace(target, { needed: Buffer.byteLength(text), free: bavail * bsize });
  }
}
