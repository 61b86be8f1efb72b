/** Benchmarks that were kept: one JSON file each in the workspace. */
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { savedBenchmark, type SavedBenchmark } from '../../contract/helper-protocol.ts';
import { writeJsonAtomicallySync } from '../../basics/atomic-file.ts';

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
        const parsed = savedBenchmark.safeParse(readJson(join(this.#folder, name)));
        return parsed.success ? [parsed.data] : [];
      })
      .sort((a, b) => b.time - a.time);
  }

  save(benchmark: SavedBenchmark): void {
    writeJsonAtomicallySync(join(this.#folder, `${benchmark.id}.json`), benchmark);
  }

  remove(id: string): void {
    if (/^[a-z0-9-]+$/.test(id)) rmSync(join(this.#folder, `${id}.json`), { force: true });
  }
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}
