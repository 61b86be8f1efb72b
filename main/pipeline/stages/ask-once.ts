/**
 * A teacher that is asked once about each row of Stage 3, before it begins, instead of in every pass (docs/method.md, 5.9): what it gave lies in files of the
 * experiment's cache, and only its head stays in memory, or nothing where its likeliest tokens are enough.
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
import { type Kept, TaughtRows, taughtTokenBytes } from '../../training/taught-rows.ts';
import { TopHead } from '../../training/top-tokens.ts';
import { type Teacher, validPositions } from '../../training/training-step.ts';
import { engineOf } from '../engine.ts';
import { collectiveOf, type JobContext, obeyStop } from '../job.ts';
import { fileState } from '../task/survey.ts';

/** To be raised when the values would be others. */
const version = 1;
/** Rows after which a session that is ended goes on. */
const rowsAtOnce = 512;
/** Below this share of the teacher's probability the likeliest tokens say little. */
const leastShare = 0.5;
/** Larger files are not written: the teacher is then asked in every pass. */
export const mostTaughtBytes = 8e9;

/** What Stage 3 trains on, and for how long. */
export interface Lesson {
  readonly rows: ExampleRows;
  /** Optimiser steps of the whole stage, and of one pass over the rows. */
  readonly steps: number;
  readonly stepsPerEpoch: number;
}

/** What is kept of a teacher that is asked once. */
export function keptOf({ lambda, gamma, hidden, teacherTop }: DistilSettings): Kept {
  const top = lambda > 0 && teacherTop !== undefined ? teacherTop : null;
  return { hidden: top === null || hidden !== undefined, relation: gamma !== 0, top };
}

/**
 * Bytes of the files where the teacher is asked once, which saves nothing within one pass; null where it is asked in every pass. One that gives its likeliest
 * tokens alone is always asked once, whatever they take: otherwise the student would learn something else.
 */
export function taughtBytes(
  distil: DistilSettings,
  teacher: ModelConfiguration,
  { tokens, steps, stepsPerEpoch }: { tokens: number; steps: number; stepsPerEpoch: number },
): number | null {
  const kept = keptOf(distil);
  const bytes = tokens * taughtTokenBytes(teacher, kept);
  if (kept.top !== null) return bytes;
  if (!distil.teacherOnce || steps <= stepsPerEpoch) return null;
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
  const { distil } = recipe;
  const kept = keptOf(distil);
  const { relation, top } = kept;
  const { microBatchTokens } = distil.optimiser;
  const { lengths, fingerprint } = rows;
  const decides = [
    version,
    await fileState(path),
    fingerprint,
    lengths.length,
    relation ? layer : null,
    microBatchTokens,
    ...(top === null ? [] : [{ top, tau: distil.tau, tokens: distil.logitsTokens, hidden: kept.hidden }]),
  ];
  const taught = await rootFirst(collectiveOf(context), async () => {
    const files = await TaughtRows.open({
      folder: taughtFolder(folder),
      key: textSha256(JSON.stringify(decides)),
      teacher,
      kept,
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
  const ofHead = new Set(top === null ? [headName(teacher), finalNormName] : []);
  const specifications = parameterSpecifications(teacher).filter(({ name }) => ofHead.has(name));
  return {
    configuration: teacher,
    parameters: await loadParameters(path, teacher, { specifications }),
    forward: (micro) => taught.read(micro),
    release: () => taught.close(),
  };

  async function ask(files: TaughtRows): Promise<void> {
    const { options } = await engineOf(recipe, context);
    const network = await Network.create(teacher, await loadParameters(path, teacher), {
      ...options,
      mode: 'inference',
    });
    const head = top === null ? null : await TopHead.create(network, top, distil.tau, options);
    const held = { tokens: 0, share: 0 };
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
          const given = await network.forward(micro, relation ? layer : undefined);
          const positions = distil.logitsTokens === 'all' ? validPositions(micro) : micro.targetPositions;
          const likeliest = head && (await head.run(given.hidden, micro, positions));
          await files.write(group, micro.length, { ...given, top: likeliest });
          if (likeliest === null) continue;
          held.tokens += positions.length;
          for (const position of positions) held.share += 1 - Math.exp(likeliest.rest[position]!);
        }
        await files.keep(first + count);
        const note = `the teacher was asked about ${files.rows} of ${lengths.length} rows`;
        context.emit({ type: 'progress', done: 0, total: 1, unit: 'steps', resumed: 0, note });
      }
      if (head) tellHeld(held.share / held.tokens);
    } finally {
      await head?.release();
      await network.release();
    }
  }
  /** What the student can learn of the teacher's answers, for the log. */
  function tellHeld(share: number): void {
    const little = share < leastShare;
    const text =
      `The teacher's ${top} likeliest next tokens hold ${(100 * share).toFixed(1)} % of what it expects, on average over the tokens that it was asked about (temperature ${distil.tau}). The rest is kept as one sum.` +
      (little ? ' Little is left to learn from: a lower temperature or more tokens would keep more.' : '');
    context.emit({ type: 'log', level: little ? 'warning' : 'info', text });
  }
}
