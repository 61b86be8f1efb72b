/** Where the artifacts of an experiment lie; every job agrees on these names. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artifact, JobKind } from '../contract/jobs.ts';
import type { Recipe } from '../contract/recipe.ts';
import { fileSha256 } from '../basics/file-digest.ts';

/** Model folders of an experiment. */
export type ModelFolder = 'teacher' | 'refined' | 'pretrained' | 'student' | 'baseline';

export function modelFolder(experiment: string, name: ModelFolder): string {
  return join(experiment, name);
}

export function checkpointFolder(experiment: string, job: JobKind): string {
  return join(experiment, 'checkpoints', job);
}

export function cacheFolder(experiment: string): string {
  return join(experiment, 'cache');
}

/** The fine-tuned teacher: this experiment's own, or the folder itself when the recipe skips fine-tuning. */
export function teacherFolder(experiment: string, recipe: Recipe): string {
  return recipe.finetune ? modelFolder(experiment, 'teacher') : recipe.teacher;
}

/** Hex SHA-256 of a text. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Describes a file that a job leaves. */
export async function describeArtifact(experiment: string, name: string, path: string): Promise<Artifact> {
  const full = join(experiment, path);
  return { name, path, bytes: (await stat(full)).size, sha256: await fileSha256(full) };
}
