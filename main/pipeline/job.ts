/** What every job of the pipeline is given. The pipeline knows no process: a worker, a test or a script can be behind it. */
import type { JobEvent } from '../contract/jobs.ts';
import type { Recipe } from '../contract/recipe.ts';
import { alone, type Collective } from '../training/collective.ts';
import type { Shards } from '../training/shards.ts';

export interface JobContext {
  /** Progress and results, in order. */
  emit(event: JobEvent): void;
  /** Asked between micro-batches (never in the middle of one). */
  stopRequested(): 'pause' | 'cancel' | null;
  /** The other ranks of the job; absent: there are none. Of several ranks, the root's events are told. */
  readonly collective?: Collective;
}

export function collectiveOf({ collective }: JobContext): Collective {
  return collective ?? alone;
}

/** How a stage of this recipe trains: in shards, which the ranks of the job share, or whole. */
export function shardsOf({ shards, roundedExchange }: Recipe, context: JobContext): { shards?: Shards } {
  if (shards === undefined) return {};
  const collective = collectiveOf(context);
  return {
    shards: { count: shards, collective, ...(roundedExchange === undefined ? {} : { rounded: roundedExchange }) },
  };
}

/** Lets messages in, and ends a job that was told to stop before its first step. @throws JobStopped */
export async function obeyStop(context: JobContext): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  const request = context.stopRequested();
  if (request) throw new JobStopped(request, 0);
}

/** Thrown by a job that obeyed a stop request; `step` is saved when the request was `pause`. */
export class JobStopped extends Error {
  readonly request: 'pause' | 'cancel';
  readonly step: number;
  constructor(request: 'pause' | 'cancel', step: number) {
    super(`job stopped (${request}) at step ${step}`);
    this.request = request;
    this.step = step;
  }
}
