/**
 * A teacher that is asked once about each row of Stage 3, before it begins, instead of in every pass (docs/method.md, 5.9): what it gave lies in files of the
 * experiment's cache, and only its head stays in memory.
 */
import { textSha256 } from '../../basics/file-digest.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { DistilSettings } from '../../contract/recipe.ts';
import { taughtFolder, teacherFolder } from '../../experiment/folder.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { loadParameters } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import { headName, finalNormName, parameterSpecifications } from '../../models/parameters.ts';
import { type ExampleRows, groupsOfRows, packMicroBatch } from '../../training/batches.ts';
import { rootFirst } from '../../training/collective.ts';
import { TaughtRows, taughtTokenBytes } from '../../training/taught-rows.ts';
import type { Teacher } from '../../training/training-step.ts';
import { engineOf } from '../engine.ts';
import { collectiveOf, type JobContext, obeyStop } from '../job.ts';
import { fileState } from '../task/survey.ts';

/** To be raised when the values would be others. */
const version = 1;
/** Rows after which a session that is ended goes on. */
const rowsAtOnce = 512;
/** Larger files are not written: the teacher is then asked in every pass. */
export const mostTaughtBytes = 8e9;

/** What Stage 3 trains on, and for how long. */
export interface Lesson {
  readonly rows: ExampleRows;
  /** Optimiser steps of the whole stage, and of one pass over the rows. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
}

/** Bytes of the files where the teacher is asked once, which saves nothing within one pass; null where it is asked in every pass. */
export function taughtBytes(
  { teacherOnce, gamma }: DistilSettings,
  teacher: ModelConfiguration,
  { tokens, steps, stepsPerEpoch }: { tokens: number; steps: number; stepsPerEpoch: number },
): number | null {
  if (!teacherOnce || steps <= stepsPerEpoch) return null;
  const bytes = tokens * taughtTokenBytes(teacher, gamma !== 0);
  return bytes <= mostTaughtBytes ? bytes : null;
}

/**
 * @param layer the teacher's, whose queries, keys and values the attention term compares
 * @throws JobStopped when the job is told to stop; the rows that were asked about stay
 * @throws TritsmithError `no-space`
 */
export async function askedOnce(
  { recipe, folder }: JobSpec,
  teacher: ModelConfiguration,
  layer: number,
  { rows }: Lesson,
  context: JobContext,
): Promise<Teacher> {
  const path = teacherFolder(folder, recipe);
  const relation = recipe.distil.gamma !== 0;
  const { microBatchTokens } = recipe.distil.optimiser;
  const { lengths, fingerprint } = rows;
  const decides = [
    version,
    await fileState(path),
    fingerprint,
    lengths.length,
    relation ? layer : null,
    microBatchTokens,
  ];
  const taught = await rootFirst(collectiveOf(context), async () => {
    const files = await TaughtRows.open({
      folder: taughtFolder(folder),
      key: textSha256(JSON.stringify(decides)),
      teacher,
      relation,
      lengths,
    });
    try {
      if (files.rows < lengths.length) await ask(files);
      return files;
    } catch (thrown) {
      await files.close();
      throw thrown;
    }
  });
  const ofHead = new Set([headName(teacher), finalNormName]);
  const specifications = parameterSpecifications(teacher).filter(({ name }) => ofHead.has(name));
  return {
    configuration: teacher,
    parameters: await loadParameters(path, teacher, { specifications }),
    forward: (micro) => taught.read(micro),
    release: () => taught.close(),
  };

  async function ask(files: TaughtRows): Promise<void> {
    const network = await Network.create(teacher, await loadParameters(path, teacher), {
      ...(await engineOf(recipe, context)).options,
      mode: 'inference',
    });
    try {
      while (files.rows < lengths.length) {
        const first = files.rows;
        const count = Math.min(rowsAtOnce, lengths.length - first);
        const numbers = Array.from({ length: count }, (_, index) => first + index);
        for (const group of groupsOfRows(numbers, (row) => lengths[row]!, microBatchTokens)) {
          await obeyStop(context);
          const examples = [];
          for (const row of group) examples.push(await rows.read(row));
          const micro = packMicroBatch(examples);
          await files.write(group, micro.length, await network.forward(micro, relation ? layer : undefined));
        }
        await files.keep(first + count);
        const note = `the teacher was asked about ${files.rows} of ${lengths.length} rows`;
        context.emit({ type: 'progress', done: 0, total: 1, unit: 'steps', resumed: 0, note });
      }
    } finally {
      await network.release();
    }
  }
}
