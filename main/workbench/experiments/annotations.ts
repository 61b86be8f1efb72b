/** What a person notes about experiments, and what becomes of those that they removed. */
import { rmSync } from 'node:fs';
import { TritsmithError } from '../../contract/errors.ts';
import { readAnnotations, type StoredAnnotations, writeAnnotations } from '../../experiment/annotations.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { giveUpReserve } from '../workspace/workspace-folder.ts';

export function changeAnnotations(workspace: Workspace, id: string, change: Partial<StoredAnnotations>): void {
  const folder = workspace.experimentFolder(id);
  writeAnnotations(folder, { ...readAnnotations(folder), ...change });
}

/** Notes that an experiment was removed, or restored. On a full disk the reserve is given up for it: that is how people make room. */
export function changeRemoved(workspace: Workspace, id: string, removed: boolean): void {
  try {
    changeAnnotations(workspace, id, { removed });
  } catch (thrown) {
    if (TritsmithError.from(thrown).code !== 'no-space' || !giveUpReserve(workspace.paths)) throw thrown;
    changeAnnotations(workspace, id, { removed });
  }
}

/** Deletes for good what was removed and not restored; done when a workspace is opened, so undo lasts a whole session. */
export function emptyBin(workspace: Workspace): void {
  for (const id of workspace.experiments.ids()) {
    const folder = workspace.experimentFolder(id);
    if (!readAnnotations(folder).removed) continue;
    rmSync(folder, { recursive: true, force: true });
    workspace.database.prepare('DELETE FROM experiments WHERE id = ?').run(id);
  }
}
