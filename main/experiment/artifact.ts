/** How the files that a job leaves are described to the workbench. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artifact } from '../contract/jobs.ts';
import { fileSha256 } from '../basics/file-digest.ts';

/** `path` is relative to the folder `experiment`. */
export async function describeArtifact(experiment: string, name: string, path: string): Promise<Artifact> {
  const full = join(experiment, path);
  return { name, path, bytes: (await stat(full)).size, sha256: await fileSha256(full) };
}
