/** A training on former rows and on rows that came later. */
import { z } from 'zod';
import { localPath } from './local-path.ts';
import { taskSettings } from './recipe.ts';
import { readingOptions } from './table-reading.ts';

export const addRowsRequest = z.object({
  /** The former recipe's. */
  task: taskSettings,
  file: localPath(),
  /** How it is read, where it is not what is found out. */
  reading: readingOptions.optional(),
  /** JSON Lines file to write. */
  target: z.string(),
  /** The same for the evaluation rows, which no setting for reading fits then; null: they stay in their file. */
  devTarget: z.string().nullable(),
});
export type AddRowsRequest = z.infer<typeof addRowsRequest>;

/** `added`: rows of the new file with a text and a label; `former`: all rows of the old one. */
export const addedRows = z.object({ former: z.number(), added: z.number() });
