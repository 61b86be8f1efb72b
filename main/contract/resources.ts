/** A need of memory or disk beside what the machine has. */
import { z } from 'zod';

/** Bytes; `formula` says in words and figures where `needed` comes from. */
export const resourceEstimate = z.object({
  needed: z.number(),
  available: z.number(),
  fits: z.boolean(),
  formula: z.string(),
});
export type ResourceEstimate = z.infer<typeof resourceEstimate>;
