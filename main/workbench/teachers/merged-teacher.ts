/** A LoRA adapter and its base as a teacher of this workspace. */
import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { modelName } from '../../contract/local-path.ts';
import type { TeacherCard } from '../../contract/queries.ts';
import { askWorker } from '../../jobs/host.ts';
import type { SpawnPort } from '../../jobs/spawn-port.ts';
import type { Workspace } from '../workspace/workspace.ts';
import { downloadsFolder } from './teacher-source.ts';

export interface AdapterOnBase {
  /** Folder of the adapter. */
  readonly adapter: string;
  /** Folder of its base. */
  readonly base: string;
}

/**
 * Merges an adapter into its base and remembers the result; one that was merged before is taken as it is.
 * @throws TritsmithError for an adapter that can't be merged or a base that can't be a teacher; nothing is left then
 */
export async function mergedTeacher(
  folders: AdapterOnBase,
  workspace: Workspace,
  port: SpawnPort,
  name = modelName(folders.adapter),
): Promise<TeacherCard> {
  const target = mergedFolder(folders, workspace);
  const card = await askWorker(
    port,
    existsSync(target) ? { type: 'inspect-teacher', folder: target } : { type: 'merge-adapter', ...folders, target },
  );
  if (card.supported) workspace.teachers.put(name, card);
  return card;
}

/** The same adapter on the same base gives the same place; one that was trained on gives another. */
function mergedFolder({ adapter, base }: AdapterOnBase, workspace: Workspace): string {
  const weights = statSync(join(adapter, 'adapter_model.safetensors'), { throwIfNoEntry: false });
  const state = [adapter, base, weights?.size, weights?.mtimeMs].join('\0');
  const name = modelName(adapter)
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 80);
  const digest = createHash('sha256').update(state).digest('hex').slice(0, 8);
  return join(downloadsFolder(workspace.paths.folder), `${name}-merged-${digest}`);
}
