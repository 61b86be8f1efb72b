/** Benchmarks that were kept: one JSON file each in the workspace. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { savedBenchmark, type SavedBenchmark } from '../../contract/helper-protocol.ts';
import { readJsonIfWhole, writeJsonAtomically } from '../../basics/json-file.ts';

export class BenchmarkStore {
  readonly #folder: string;

  constructor(workspace: string) {
    this.#folder = join(workspace, 'benchmarks');
    if (!existsSync(this.#folder)) mkdirSync(this.#folder, { mode: 0o700 });
  }

  /** Newest first. */
  list(): SavedBenchmark[] {
    return readdirSync(this.#folder)
      .filter((name) => name.endsWith('.json'))
      .flatMap((name) => {
        const found = readJsonIfWhole(join(this.#folder, name), savedBenchmark);
        return found === null ? [] : [found];
      })
      .sort((a, b) => b.time - a.time);
  }

  save(benchmark: SavedBenchmark): void {
    writeJsonAtomically(join(this.#folder, `${benchmark.id}.json`), benchmark);
  }

  remove(id: string): void {
    if (/^[a-z0-9-]+$/.test(id)) rmSync(join(this.#folder, `${id}.json`), { force: true });
  }
}
