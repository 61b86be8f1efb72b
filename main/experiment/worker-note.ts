/** The note of which process works in an experiment's folder. */
import { rmSync } from 'node:fs';
import { z } from 'zod';
import { readJsonIfWhole, writeJsonAtomically } from '../basics/json-file.ts';
import { workerNotePath } from './folder.ts';

/** Tells a process from a later one that got the same number: its id together with its start time. */
export const processIdentity = z.object({
  pid: z.int(),
  /** When it started, in the system's own words; null where the system does not say. */
  startTime: z.string().nullable(),
  host: z.string(),
});
export type ProcessIdentity = z.infer<typeof processIdentity>;

export function writeWorkerNote(experiment: string, worker: ProcessIdentity): void {
  writeJsonAtomically(workerNotePath(experiment), worker);
}

/** Null where no process was noted, or the note cannot be read. */
export function readWorkerNote(experiment: string): ProcessIdentity | null {
  return readJsonIfWhole(workerNotePath(experiment), processIdentity);
}

export function removeWorkerNote(experiment: string): void {
  rmSync(workerNotePath(experiment), { force: true });
}
