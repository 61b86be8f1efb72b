/** How a student fares on rows that came after its training. */
import { z } from 'zod';
import { localPath } from './local-path.ts';
import { told } from './messages/told-schema.ts';
import { trainedModel } from './results.ts';
import { readingOptions } from './table-reading.ts';

export const reviewRequest = z.object({
  /** Folder of the experiment, which is done. */
  experiment: z.string(),
  model: trainedModel,
  /** The model's exported file. */
  path: z.string(),
  file: localPath(),
  /** How it is read, where it is not what is found out. */
  reading: readingOptions.optional(),
  /** Answers whose likeliest label has less count as unsure. */
  unsureBelow: z.number().min(0).max(1).default(0.6),
  /** Most wrong answers that are quoted. */
  examples: z.int().min(0).max(1000).default(20),
});
export type ReviewRequest = z.infer<typeof reviewRequest>;

const share = z.object({ right: z.number(), rows: z.number(), ci95: z.tuple([z.number(), z.number()]) });

export const newRowsReview = z.object({
  /** What it comes to, in sentences. */
  findings: z.array(told),
  /** Rows with a text; the others are left out. */
  rows: z.number(),
  /** Rows with a label that the student knows; null where there is none. */
  now: share.nullable(),
  /** The same model on the rows that were held out when it was trained. */
  then: share.nullable(),
  /** Of the accuracy, now less then, with a 95 % interval; null where one of them is lacking. */
  difference: z.object({ value: z.number(), ci95: z.tuple([z.number(), z.number()]) }).nullable(),
  unsure: z.number(),
  classes: z.array(
    z.object({
      label: z.string(),
      /** Rows that the model gave this label, then and now. */
      answeredThen: z.number(),
      answeredNow: z.number(),
      /** New rows with this label, and how many of them were answered so. */
      labelled: z.number(),
      right: z.number(),
    }),
  ),
  /** How far the answers' classes have moved (0 as before, 1 nothing in common), and how often chance alone moves them as far. */
  change: z.object({ distance: z.number(), byChance: z.number() }).nullable(),
  /** Labels of the file that the student cannot answer, most frequent first. */
  unknown: z.array(z.object({ label: z.string(), rows: z.number() })),
  mistakes: z.array(
    z.object({ row: z.number(), text: z.string(), label: z.string(), answer: z.string(), probability: z.number() }),
  ),
});
export type NewRowsReview = z.infer<typeof newRowsReview>;
