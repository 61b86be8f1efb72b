/** Files by their SHA-256: each content is kept once, arrives in parts, and is there under its name only when it is whole and right. */
import { chmodSync, constants, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Content } from '../../contract/remote.ts';
import { fileSha256 } from '../../basics/file-digest.ts';

const sizeOf = (path: string): number | null => statSync(path, { throwIfNoEntry: false })?.size ?? null;

export class ContentStore {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  pathOf(sha256: string): string {
    return join(this.folder, sha256);
  }

  /** How many bytes of it are there; all of them: it is whole. */
  present({ sha256, bytes }: Content): number {
    if (existsSync(this.pathOf(sha256))) return bytes;
    // A part as long as the whole has not been found right yet.
    return Math.min(sizeOf(this.#part(sha256)) ?? 0, Math.max(0, bytes - 1));
  }

  /**
   * Takes bytes of a content from `from` on. Ending early, they stay as a part. Two writers of one content write the same bytes to the same places.
   * @returns `damaged`: all came, but they are another content; then nothing of it is kept
   */
  async take(
    { sha256, bytes }: Content,
    from: number,
    pieces: AsyncIterable<Uint8Array>,
  ): Promise<'whole' | 'part' | 'damaged'> {
    const path = this.pathOf(sha256);
    const part = this.#part(sha256);
    const known = existsSync(path);
    let position = from;
    const file = known ? null : await open(part, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      for await (const piece of pieces) {
        for (let done = 0; file !== null && done < piece.length;)
          done += (await file.write(piece, done, piece.length - done, position + done)).bytesWritten;
        position += piece.length;
      }
      if (position < bytes) return 'part';
      if (file === null) return 'whole';
      await file.truncate(bytes);
      await file.sync();
    } finally {
      await file?.close();
    }
    try {
      if ((await fileSha256(part)) !== sha256) {
        rmSync(part, { force: true });
        return 'damaged';
      }
      chmodSync(part, 0o400);
      renameSync(part, path);
    } catch (thrown) {
      // Another writer was first.
      if (!existsSync(path)) throw thrown;
    }
    return 'whole';
  }

  #part(sha256: string): string {
    return join(this.folder, `${sha256}.part`);
  }
}
