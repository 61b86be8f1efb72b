/** A need of memory or disk beside what the machine has. */
import { z } from 'zod';
import { resourceTerm } from './estimates.ts';

/** Bytes; `needed` is the sum of the terms. */
export const resourceEstimate = z.object({
  needed: z.number(),
  available: z.number(),
  fits: z.boolean(),
  terms: z.array(resourceTerm),
});
export type ResourceEstimate = z.infer<typeof resourceEstimate>;
