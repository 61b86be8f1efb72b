/** A student that the workbench serves to other programs of this machine. */
import { z } from 'zod';
import { servedFacts } from './serving-protocol.ts';

export const servedModel = z.object({
  experiment: z.string(),
  /** Such as http://127.0.0.1:40123 */
  address: z.string(),
  /** Programs send it as `Authorization: Bearer <token>`. */
  token: z.string(),
  facts: servedFacts,
  /** Requests that are computed, that wait, and that were answered since the start. */
  busy: z.number(),
  waiting: z.number(),
  answered: z.number(),
});
export type ServedModel = z.infer<typeof servedModel>;
