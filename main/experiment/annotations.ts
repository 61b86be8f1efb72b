/** Tags, notes and the mark of a removed experiment, kept in its folder, so that they survive the database. */
import { z } from 'zod';
import { annotations } from '../contract/views.ts';
import { readJsonIfWhole, writeJsonAtomically } from '../basics/json-file.ts';
import { annotationsPath } from './folder.ts';

const storedAnnotations = annotations.extend({ removed: z.boolean().default(false) });
export type StoredAnnotations = z.infer<typeof storedAnnotations>;

/** None where there is no file, or where it cannot be read. */
export function readAnnotations(experiment: string): StoredAnnotations {
  return readJsonIfWhole(annotationsPath(experiment), storedAnnotations) ?? { tags: [], notes: '', removed: false };
}

export function writeAnnotations(experiment: string, content: StoredAnnotations): void {
  writeJsonAtomically(annotationsPath(experiment), storedAnnotations.parse(content));
}
