/** The note of how ranks shared the stages of an experiment. */
import { readJsonIfWhole, writeJsonAtomically } from '../basics/json-file.ts';
import type { JobKind } from '../contract/jobs.ts';
import { type SharedStage, sharedStages, type SharedStages } from '../contract/shared-stages.ts';
import { ranksPath } from './folder.ts';

/** Empty where one process trained all of them. */
export function readSharedStages(experiment: string): SharedStages {
  return readJsonIfWhole(ranksPath(experiment), sharedStages) ?? {};
}

export function writeSharedStage(experiment: string, stage: JobKind, shared: SharedStage): void {
  writeJsonAtomically(ranksPath(experiment), { ...readSharedStages(experiment), [stage]: shared });
}
