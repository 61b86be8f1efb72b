/** Files that are there whole or not at all: written under a temporary name in the same folder, fsync, rename, fsync of the folder. */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { TritsmithError } from '../contract/errors.ts';

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
 * @throws TritsmithError: `no-space`, `not-writable`, `not-found` (the folder), or what the writer threw.
 */
export async function writeFileAtomically(
  target: string,
  content: string | ArrayBufferView | ((file: AtomicFile) => Promise<void> | void),
): Promise<void> {
  const folder = path.dirname(target);
  const temporary = path.join(folder, `.${path.basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx');
    const opened = handle;
    let position = 0;
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
    throw (thrown as NodeJS.ErrnoException).syscall === undefined ? thrown : TritsmithError.from(thrown);
  }
}
