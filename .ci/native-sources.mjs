/** What the native addon is made of, and whether one that was made before is made of that. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './node.mjs';

/** Digest of files of the repository with their names. */
export function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths)
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

/** Sources of the addon, relative to the repository. */
export function nativeSources() {
  return readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(cc|h|gyp)$/.test(path) && !/^(build|mpi|prebuilds)\b/.test(path))
    .map((path) => `native/${path.replaceAll('\\', '/')}`)
    .sort();
}

/** The folder of a system's prebuilt addon, by the names of `process`. */
export const prebuildFolder = (platform, arch) => join(root, 'native', 'prebuilds', `${platform}-${arch}`);

/** Whether the folder holds an addon, and of these sources (as `npm run prebuild` noted). */
export function isCurrentPrebuild(folder, sources = digest(nativeSources())) {
  const stamp = join(folder, 'sources.sha256');
  return (
    existsSync(join(folder, 'tritsmith.node')) && existsSync(stamp) && readFileSync(stamp, 'utf8').trim() === sources
  );
}
