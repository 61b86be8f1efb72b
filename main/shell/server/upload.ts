/** Files that are dropped on the page: written into the workspace, whole or not at all. */
import { createWriteStream, mkdirSync, renameSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { TritsmithError } from '../../contract/errors.ts';

const dataFile = /\.(csv|tsv|jsonl|json|parquet|txt|md)$/i;

/** Streams the request's body to `uploads/<name>` of the workspace and returns that path. Throws `bad-input` for other kinds of files. */
export async function receiveUpload(request: IncomingMessage, name: string, workspace: string): Promise<string> {
  const plain = name
    .replaceAll(/[^\p{L}\p{N}._ -]/gu, '_')
    .replace(/^\.+/, '')
    .slice(-120);
  if (!dataFile.test(plain))
    throw new TritsmithError('bad-input', `"${name}" is not a data file that can be read.`, {
      remedy: 'Drop a CSV, TSV, JSONL, JSON, Parquet or text file.',
    });
  const folder = join(workspace, 'uploads');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, plain);
  const temporary = `${path}.${String(process.pid)}.new`;
  try {
    await pipeline(request, createWriteStream(temporary, { mode: 0o600, flush: true }));
    renameSync(temporary, path);
    return path;
  } catch (thrown) {
    rmSync(temporary, { force: true });
    throw TritsmithError.from(thrown);
  }
}
