/** Files that are dropped on the page: written into the workspace, whole or not at all, and never over another file. */
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync, renameSync, rmSync, statfsSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TritsmithError } from '../../contract/errors.ts';

const dataFile = /\.(csv|tsv|jsonl|ndjson|json|parquet|xlsx|xlsm|ods|sqlite|sqlite3|db|txt|md)$/i;
/** What an upload leaves free on the disk, for the run that follows. */
const sparedBytes = 256 * 1024 * 1024;

/**
 * Streams the request's body to `uploads/<digest>/<name>` of the workspace and returns that path: the same file gets the same path, a
 * changed one of the same name another, so that no recipe finds other rows than it was made for. Throws `bad-input` for other kinds of
 * files and bodies of unknown size, `no-space` before it reads what the disk does not hold.
 */
export async function receiveUpload(request: IncomingMessage, name: string, workspace: string): Promise<string> {
  const plain = name
    .replaceAll(/[^\p{L}\p{N}._ -]/gu, '_')
    .replace(/^\.+/, '')
    .slice(-120);
  if (!dataFile.test(plain)) throw new TritsmithError('bad-input', 'upload.kind', { name: name.slice(0, 200) });
  const uploads = join(workspace, 'uploads');
  mkdirSync(uploads, { recursive: true, mode: 0o700 });
  checkSize(request.headers['content-length'], uploads);
  const temporary = join(uploads, `.${randomUUID()}.new`);
  const hash = createHash('sha256');
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  try {
    await pipeline(request, count, createWriteStream(temporary, { mode: 0o600, flush: true }));
    const folder = join(uploads, hash.digest('hex').slice(0, 16));
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    renameSync(temporary, join(folder, plain));
    return join(folder, plain);
  } catch (thrown) {
    rmSync(temporary, { force: true });
    throw TritsmithError.from(thrown);
  }
}

/** HTTP ends the body at the announced length, so that alone bounds what is written. */
function checkSize(announced: string | undefined, folder: string): void {
  const bytes = Number(announced ?? NaN);
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new TritsmithError('bad-input', 'upload.size');
  const { bavail, bsize } = statfsSync(folder);
  if (bytes + sparedBytes > bavail * bsize)
    throw new TritsmithError('no-space', 'upload.no-space', { bytes, free: bavail * bsize });
}
