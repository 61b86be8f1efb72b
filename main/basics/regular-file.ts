/** Opens files that others made. A named pipe or a device among them must neither block the reader nor feed it without end. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { TritsmithError } from '../contract/errors.ts';

// Without it, opening a named pipe waits for a writer. Windows has neither.
const withoutWaiting = constants.O_NONBLOCK ?? 0;

/**
 * Opens a regular file (or a link to one, as the Hub's cache has them) for reading. Close the handle when done.
 * @throws TritsmithError `not-found`, `not-writable` (no permission), `bad-input` (folder, pipe, device)
 */
export async function openRegularFile(file: string): Promise<{ handle: FileHandle; size: number }> {
  let handle: FileHandle | undefined;
  try {
    if (file.includes('\0')) throw new TritsmithError('bad-input', 'path.nul');
    handle = await open(file, constants.O_RDONLY | withoutWaiting);
    const status = await handle.stat();
    if (!status.isFile()) throw new TritsmithError('bad-input', 'file.not-a-file', { file });
    return { handle, size: status.size };
  } catch (thrown) {
    await handle?.close().catch(() => undefined);
    throw TritsmithError.from(thrown);
  }
}

/** Bytes to read of `size` at once: at most `block`, no more than there are (many files are small), and never none. */
export function readSize(block: number, size: number): number {
  return Math.max(1, Math.min(block, size));
}

const largestRead = 16 * 1024 * 1024;

/** Fills `into` from byte `position` on. @throws what `short` makes, where the file ends before */
export async function readFully(
  handle: FileHandle,
  into: ArrayBufferView,
  position: number,
  short: () => Error,
): Promise<void> {
  const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(largestRead, bytes.length - done), position + done);
    if (bytesRead === 0) throw short();
    done += bytesRead;
  }
}

/** What readers of weights throw where a file ends before its header said. */
export function becameShorter(file: string): TritsmithError {
  return new TritsmithError('damaged', 'file.shrank', { path: file });
}
