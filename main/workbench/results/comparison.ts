/** The comparison that an experiment ended with. */
import { resolve } from 'node:path';
import type { ExperimentRecord } from '../../contract/experiments.ts';
import type { Comparison } from '../../contract/results.ts';
import { readStoredComparison } from '../../experiment/results.ts';
import type { Workspace } from '../workspace/workspace.ts';

/** Null as long as nothing has been evaluated. @throws TritsmithError `damaged` */
export function readComparison(
  workspace: Workspace,
  record: Pick<ExperimentRecord, 'id' | 'stages'>,
): Comparison | null {
  const folder = workspace.experimentFolder(record.id);
  const found = readStoredComparison(folder);
  if (found === null) return null;
  return {
    ...found,
    export: found.export === null ? null : { ...found.export, path: resolve(folder, found.export.path) },
    seconds: record.stages.reduce((sum, stage) => sum + stage.seconds, 0),
  };
}
