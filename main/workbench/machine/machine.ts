/** The machine and the program versions that an experiment is recorded with. */
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
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

/** Node, this program, and the packages whose version can change a result. */
export function programVersions(): Record<string, string> {
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  const telling = ['onnxruntime-node', '@huggingface/tokenizers', '@huggingface/jinja', 'better-sqlite3'];
  return {
    tritsmith: manifest.version,
    node: process.versions.node,
    ...Object.fromEntries(telling.map((name) => [name, manifest.dependencies[name] ?? 'unknown'])),
  };
}
