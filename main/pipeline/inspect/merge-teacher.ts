/** A teacher from a LoRA adapter and its base. */
import { rm } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { tell } from '../../contract/messages/told.ts';
import type { TeacherCard } from '../../contract/queries.ts';
import { modelFolder } from '../../basics/hub-cache.ts';
import { readAdapter } from '../../models/adapter.ts';
import { mergeAdapter } from '../../models/merge-adapter.ts';
import { inspectTeacher } from './inspect-teacher.ts';

/**
 * Merges `adapter` into `base` as the folder `target`, and gives its card.
 * @throws TritsmithError `bad-input` without an adapter, `unsupported` where the result can't be a teacher (nothing is left then), as `mergeAdapter` does
 */
export async function mergeTeacher(folders: { adapter: string; base: string; target: string }): Promise<TeacherCard> {
  const { target } = folders;
  const adapter = await readAdapter(modelFolder(folders.adapter));
  if (adapter === null) throw new TritsmithError('bad-input', 'adapter.none', { folder: folders.adapter });
  await mergeAdapter(adapter, modelFolder(folders.base), target);
  const card = await inspectTeacher(target);
  if (card.supported) return card;
  await rm(target, { recursive: true, force: true });
  throw new TritsmithError('unsupported', 'teacher.unusable', {
    problem: card.problem ?? tell('teacher.no-tokenizer'),
  });
}
