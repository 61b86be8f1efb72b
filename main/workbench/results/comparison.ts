/** The comparison that an experiment ended with. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import { comparison, type Comparison } from '../../contract/results.ts';
import type { Workspace } from '../workspace/workspace.ts';

/** Null as long as nothing has been evaluated. `seconds` is the time spent in all stages over all sessions; the export's path is absolute. */
export function readComparison(
  workspace: Workspace,
  record: Pick<ExperimentRecord, 'id' | 'stages'>,
): Comparison | null {
  const folder = workspace.experimentFolder(record.id);
  const path = join(folder, 'comparison.json');
  if (!existsSync(path)) return null;
  let found: Comparison;
  try {
    found = comparison.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (thrown) {
    throw new TritsmithError('damaged', `The results of ${record.id} cannot be read.`, {
      reason: TritsmithError.from(thrown).message.slice(0, 300),
      remedy: `Evaluate it again: tritsmith evaluate ${record.id}`,
    });
  }
  const seconds = record.stages.reduce((sum, stage) => sum + stage.seconds, 0);
  return {
    ...found,
    seconds,
    export: found.export === null ? null : { ...found.export, path: resolve(folder, found.export.path) },
  };
}
