/** Jobs on a finished experiment beside its stages: one more export, the 4-bit baseline. They change nothing of what was trained. */
import { z } from 'zod';
import { serialisedError } from './jobs.ts';
import { exportSettings } from './recipe.ts';

export const sideTask = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('export'), settings: exportSettings }),
  /** The fine-tuned teacher as Q4_0, evaluated and measured in llama.cpp. */
  z.object({ kind: z.literal('four-bit') }),
]);
export type SideTask = z.infer<typeof sideTask>;

export const sideJob = z.object({
  experiment: z.string(),
  task: sideTask,
  state: z.enum(['running', 'done', 'cancelled', 'failed']),
  done: z.number(),
  total: z.number(),
  /** What it is at, in a word or two. */
  note: z.string().nullable(),
  problem: serialisedError.nullable(),
});
export type SideJob = z.infer<typeof sideJob>;
