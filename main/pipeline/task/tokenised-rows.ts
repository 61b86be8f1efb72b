/** A task's training rows as tokens in the experiment's cache: tokenised once, used by all stages that train on them. */
import { z } from 'zod';
import type { ExampleRows } from '../../training/batches.ts';
import type { PreparedTask } from './task-data.ts';
import type { OnRows } from './task-rows.ts';
import { cachedTokens } from './token-file.ts';

export interface TokenisedRows extends ExampleRows {
  /** Rows that fill the longest length. */
  readonly full: number;
  close(): Promise<void>;
}

/**
 * The training rows of `task` in `path`, in the order of the seed. An earlier file of the same `key` is used again when its digest still holds.
 * @param onRows called now and then with the rows read so far; may throw to stop
 */
export async function tokeniseRows(
  task: PreparedTask,
  vocabSize: number,
  path: string,
  key: string,
  onRows: OnRows,
): Promise<TokenisedRows> {
  const file = await cachedTokens({
    path,
    key,
    about: z.object({ full: z.int() }),
    vocabSize,
    rows: task.trainRows,
    write: async (writer) => {
      let full = 0;
      for await (const row of task.train(onRows)) {
        await writer.appendRow(row.index, row.ids, row.responseStart);
        if (row.full) full += 1;
      }
      return { full };
    },
  });
  const { lengths, responseStarts, starts } = file.index;
  return {
    lengths,
    fingerprint: file.sha256,
    full: file.about.full,
    read: async (row) => ({
      ids: await file.read(starts[row]!, lengths[row]!),
      responseStart: responseStarts[row]!,
    }),
    close: () => file.close(),
  };
}
