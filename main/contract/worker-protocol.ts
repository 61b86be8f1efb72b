/** Everything that crosses the border between the workbench and a worker process. Checked at both ends. */
import { z } from 'zod';
import { jobCommand, jobEvent, serialisedError } from './jobs.ts';
import { workerQuery } from './queries.ts';

/** To the worker. One process answers one question or runs one job, then ends. */
export const workerCommand = z.union([jobCommand, z.object({ type: z.literal('query'), query: workerQuery })]);
export type WorkerCommand = z.infer<typeof workerCommand>;

/** From the worker: a job's events, or the answer to a question. */
export const workerMessage = z.union([
  jobEvent,
  /** Said every few seconds: its event loop turns. */
  z.object({ type: z.literal('alive') }),
  z.object({ type: z.literal('answer'), answer: z.unknown() }),
  z.object({ type: z.literal('query-failed'), error: serialisedError }),
]);
export type WorkerMessage = z.infer<typeof workerMessage>;
