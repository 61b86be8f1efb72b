/** A folder as one file: tar.gz for systems with tar, zip for Windows. Equal folders give equal files. */
import { Zip, ZipDeflate } from 'fflate';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { run } from './run.ts';

/** Every file has this time: a zip knows none before 1980. */
const when = new Date('2020-01-01T00:00:00Z');

/** Packs `folder` under its own name; `path` ends in .tar.gz or .zip. */
export async function pack(folder: string, path: string): Promise<void> {
  const draft = `${path}.new`;
  if (path.endsWith('.zip')) await zip(folder, draft);
  else {
    const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=${when.toISOString()}`];
    // For every user of the machine that it is unpacked on, whatever the umask here was.
    same.push('--mode=u=rwX,go=rX');
    const parent = dirname(folder);
    await run('tar', [
      '--use-compress-program=gzip -n -6',
      ...same,
      '-cf',
      draft,
      '-C',
      parent,
      relative(parent, folder),
    ]);
  }
  renameSync(draft, path);
}

async function zip(folder: string, path: string): Promise<void> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  async function* bytes(): AsyncGenerator<Uint8Array> {
    const ready: Uint8Array[] = [];
    const archive = new Zip((error, chunk) => {
      if (error !== null) throw error;
      ready.push(chunk);
    });
    for (const file of files) {
      const entry = new ZipDeflate(relative(dirname(folder), file), { level: 6 });
      entry.mtime = when;
      archive.add(entry);
      entry.push(readFileSync(file), true);
      yield* ready.splice(0);
    }
    archive.end();
    yield* ready.splice(0);
  }
  await pipeline(Readable.from(bytes()), createWriteStream(path));
}

export async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
