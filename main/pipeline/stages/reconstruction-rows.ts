/** The rows that windows are reconstructed on: the task's training rows, their answers as text like any other, rows that the teacher answered, and texts. */
import { textSha256 } from '../../basics/file-digest.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { ReconstructSettings } from '../../contract/recipe.ts';
import { cachedTokens } from '../../experiment/folder.ts';
import { type JobContext, obeyStop } from '../job.ts';
import { choosingRows, recipeTokenizer } from '../models-of-recipe.ts';
import { taskRows } from '../task/task-batches.ts';
import type { TokenisedRows } from '../task/tokenised-rows.ts';
import { answeredRows } from './answered-rows.ts';
import { corpusNotes, type CorpusTokens, tokeniseCorpus } from './corpus-tokens.ts';

export interface ReconstructionRows {
  /** Tokens of each row. */
  readonly lengths: Int32Array;
  /** Hex digest of all of them. */
  readonly fingerprint: string;
  /** Token ids of a row. */
  read(row: number): Promise<Int32Array>;
  close(): Promise<void>;
}

/** To be closed. @throws JobStopped when the job is told to stop while rows are read */
export async function reconstructionRows(
  spec: JobSpec,
  settings: ReconstructSettings,
  context: JobContext,
): Promise<ReconstructionRows> {
  const say = (note: string): void =>
    context.emit({ type: 'progress', done: 0, total: 1, unit: 'steps', resumed: 0, note });
  const { rows: labelled } = await taskRows(spec, context, (read) => say(`${read} rows read`));
  const { corpus, sequenceLength } = settings;
  let texts: CorpusTokens | null = null;
  let answered: TokenisedRows | null = null;
  try {
    answered = await answeredRows(spec, context);
    if (corpus !== undefined) {
      const tokenizer = await recipeTokenizer(spec.recipe);
      texts = await tokeniseCorpus(
        corpus,
        tokenizer,
        cachedTokens(spec.folder, 'texts'),
        settings.tokens,
        textSha256(JSON.stringify([corpus, settings.tokens, tokenizer.sha256])),
        async (tokens) => {
          await obeyStop(context);
          say(`${tokens} tokens read`);
        },
      );
      for (const text of corpusNotes(texts)) context.emit({ type: 'log', level: 'warning', text });
    }
  } catch (thrown) {
    await labelled.close();
    await answered?.close();
    throw thrown;
  }
  const length = texts === null ? 0 : Math.min(sequenceLength, texts.tokens);
  const sequences = texts === null ? 0 : Math.floor(texts.tokens / length);
  // Rows that the best step is chosen with are seen by no stage.
  const count = labelled.lengths.length - choosingRows(spec.recipe, labelled.lengths.length);
  const ofTask = count + (answered?.lengths.length ?? 0);
  return {
    lengths: Int32Array.from([
      ...labelled.lengths.subarray(0, count),
      ...(answered?.lengths ?? []),
      ...Array.from({ length: sequences }, () => length),
    ]),
    fingerprint: textSha256(
      JSON.stringify([
        labelled.fingerprint,
        texts === null ? null : [texts.sha256, length],
        ...(answered === null ? [] : [answered.fingerprint]),
      ]),
    ),
    read: async (row) => {
      if (row >= ofTask) return texts!.read((row - ofTask) * length, length);
      return (await (row < count ? labelled.read(row) : answered!.read(row - count))).ids;
    },
    close: async () => {
      await labelled.close();
      await answered?.close();
      await texts?.close();
    },
  };
}
