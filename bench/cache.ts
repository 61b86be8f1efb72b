/** Where benchmarks keep what they generate. */
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export function cacheFolder(): string {
  const folder =
    process.env.TRITSMITH_BENCH_CACHE ??
    join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tritsmith-bench');
  mkdirSync(folder, { recursive: true });
  return folder;
}
