/** Graphics cards that train, and what is known of them. */
import { z } from 'zod';

export const cardIdentity = z.object({
  /** As its driver calls it. */
  name: z.string(),
  driver: z.string(),
  /** Of the npm package `webgpu`. */
  webgpu: z.string(),
});
export type CardIdentity = z.infer<typeof cardIdentity>;

/** What came of holding a card's arithmetic against the processor's and against finite differences. */
export const cardVerdict = z.object({
  card: cardIdentity,
  /** Version of the checks: a verdict of other checks says nothing. */
  checks: z.int(),
  /** Operations that were checked. */
  operations: z.int(),
  /** The first one that failed, and how; null: the card is trusted. */
  failed: z.object({ operation: z.string(), problem: z.string() }).nullable(),
  seconds: z.number(),
});
export type CardVerdict = z.infer<typeof cardVerdict>;

/** The graphics card, where WebGPU is installed to look for one; `verdict` null: it was never checked. */
export const cardState = z.object({
  installed: z.boolean(),
  found: cardIdentity.nullable(),
  verdict: cardVerdict.nullable(),
});
export type CardState = z.infer<typeof cardState>;
