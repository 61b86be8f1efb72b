/** Tags, notes and the mark of a deleted experiment, in `annotations.json` of its folder, so that they survive the database. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { annotations, type Annotations } from '../../contract/views.ts';
import { writeJsonAtomicallySync } from '../../basics/atomic-file.ts';
import type { Workspace } from '../workspace/workspace.ts';

const stored = annotations.extend({ removed: z.boolean().default(false) });
const nothing = { tags: [], notes: '', removed: false };

export function readAnnotations(workspace: Workspace, id: string): Annotations & { removed: boolean } {
  const path = join(workspace.experimentFolder(id), 'annotations.json');
  if (!existsSync(path)) return nothing;
  try {
    return stored.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return nothing;
  }
}

export function changeAnnotations(
  workspace: Workspace,
  id: string,
  change: Partial<Annotations & { removed: boolean }>,
): void {
  const path = join(workspace.experimentFolder(id), 'annotations.json');
  writeJsonAtomicallySync(path, stored.parse({ ...readAnnotations(workspace, id), ...change }));
}

/** Deletes for good what was removed and not restored; done when a workspace is opened, so undo lasts a whole session. */
export function emptyBin(workspace: Workspace): void {
  for (const id of workspace.experiments.ids()) {
    if (!readAnnotations(workspace, id).removed) continue;
    rmSync(workspace.experimentFolder(id), { recursive: true, force: true });
    workspace.database.prepare('DELETE FROM experiments WHERE id = ?').run(id);
  }
}
