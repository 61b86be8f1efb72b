/** Removes what a process that was killed in the middle of a write has left under a temporary name. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkspacePaths } from './workspace-folder.ts';

/** The temporary names of the project's writers: atomic files, atomic JSON, token caches, exports that were not proven yet. */
const draft = /^(?:\..+\.[0-9a-f]{12}\.tmp|.+\.\d+\.new|.+\.partial|\.draft-.+)$/;

/** Sweeps `folder` and everything below it. Only for a folder that no other process writes to. */
export function sweepDrafts(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (draft.test(entry.name)) rmSync(path, { recursive: true, force: true });
    else if (entry.isDirectory()) sweepDrafts(path);
  }
}

/** What processes that were killed have left in the workspace itself: half-taken locks, write probes, rehearsals. Experiments are swept when they run. */
const passing = /^(?:workbench\.lock\.[0-9a-f-]{36}|\.write-probe-\d+|rehearsal-.{6}|.+\.\d+\.new)$/;

/** For the holder of the workspace's lock. */
export function sweepWorkspace({ folder }: WorkspacePaths): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (passing.test(entry.name)) rmSync(path, { recursive: true, force: true });
    else if (entry.isDirectory() && (entry.name === 'drafts' || entry.name === 'benchmarks')) sweepDrafts(path);
  }
}
