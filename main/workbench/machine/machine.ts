/** The machine and the program versions that an experiment is recorded with. */
import { existsSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MachineDescription } from '../../contract/experiments.ts';

/** Memory that this process may use: the machine's, or less where a container limits it. Bytes. */
export function usableMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

export function describeMachine(): MachineDescription {
  return {
    platform: `${platform()} ${release()}`,
    architecture: arch(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: usableMemory(),
  };
}

interface Manifest {
  readonly version: string;
  readonly dependencies: Record<string, string>;
  /** A portable archive has none. */
  readonly scripts?: unknown;
}

const manifestPath = fileURLToPath(new URL('../../../package.json', import.meta.url));
const readManifest = (path: string): Manifest => JSON.parse(readFileSync(path, 'utf8')) as Manifest;

/** Path of the script that is the command line of a portable archive, beside its engine; null in a clone, where npm starts it. */
export function commandLine(manifest = manifestPath, system: string = platform()): string | null {
  if (readManifest(manifest).scripts !== undefined) return null;
  const script = join(dirname(dirname(manifest)), system === 'win32' ? 'tritsmith.cmd' : 'tritsmith');
  return existsSync(script) ? script : null;
}

/** Node, this program, and the packages whose version can change a result. */
export function programVersions(): Record<string, string> {
  const manifest = readManifest(manifestPath);
  const telling = ['onnxruntime-node', '@huggingface/tokenizers', '@huggingface/jinja', 'better-sqlite3'];
  return {
    tritsmith: manifest.version,
    node: process.versions.node,
    ...Object.fromEntries(telling.map((name) => [name, manifest.dependencies[name] ?? 'unknown'])),
  };
}
