/** Compiles the exchange between ranks with the MPI that is installed. Nothing else of the project needs MPI. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('mpi.cc', import.meta.url));
const folder = fileURLToPath(new URL('build/', import.meta.url));
/** On a file system that the machines share, all of them load this file. */
export const mpiAddon = join(folder, 'mpi.node');
const stamp = join(folder, 'mpi.stamp');

export type MpiBuild =
  | { readonly state: 'built' | 'present' }
  /** There is no mpicxx and no addon that another machine built here; or mpicxx fails, and `output` says why. */
  | { readonly state: 'missing' }
  /** A portable archive has no sources. */
  | { readonly state: 'no-sources' }
  | { readonly state: 'failed'; readonly output: string };

/** What mpicxx calls with which flags: another MPI, another addon. Null where there is none. */
function compilerLine(): string | null {
  const shown = spawnSync('mpicxx', ['-show'], { encoding: 'utf8' });
  return shown.status === 0 ? shown.stdout.trim() : null;
}

/** Builds the addon unless it is there for this source and this MPI. */
export function buildMpi(): MpiBuild {
  if (!existsSync(source)) return { state: existsSync(mpiAddon) ? 'present' : 'no-sources' };
  const compiler = compilerLine();
  if (compiler === null) return { state: existsSync(mpiAddon) ? 'present' : 'missing' };
  const now = createHash('sha256').update(readFileSync(source)).update(compiler).update(process.version).digest('hex');
  if (existsSync(mpiAddon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now) return { state: 'present' };
  mkdirSync(folder, { recursive: true });
  const draft = join(folder, `mpi-${String(process.pid)}.node`);
  const { status, stderr, error } = spawnSync(
    'mpicxx',
    [
      ...['-std=c++17', '-O3', '-ffp-contract=off', '-fPIC', '-shared', '-Wall', '-Wextra', '-Wno-unused-parameter'],
      ...['-Wno-cast-function-type', '-DNAPI_VERSION=9', '-DNODE_ADDON_API_CPP_EXCEPTIONS_ALL'],
      `-I${join(dirname(dirname(process.execPath)), 'include', 'node')}`,
      `-I${fileURLToPath(new URL('../../node_modules/node-addon-api', import.meta.url))}`,
      ...[source, '-o', draft],
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) return { state: 'failed', output: `${stderr}${error === undefined ? '' : String(error)}` };
  // Whole or not at all: another machine may be about to load it.
  renameSync(draft, mpiAddon);
  writeFileSync(stamp, now);
  return { state: 'built' };
}
