/** How the ranks of a run share its stages, and what it costs them. */
import { z } from 'zod';
import { jobKind } from './jobs.ts';
import { message, type Message } from './messages/message.ts';

/** One of the ranks; seconds and bytes are those of a step, the mean of the steps so far. */
export const rankWork = z.object({
  /** Where it runs. */
  node: z.string(),
  /** Of the time in which it computed. */
  tokensPerSecond: z.number(),
  computingSeconds: z.number(),
  /** It had computed and the slowest had not yet. */
  waitingSeconds: z.number(),
  /** Given to the other ranks. */
  sentBytes: z.number(),
});
export type RankWork = z.infer<typeof rankWork>;

export const sharedStage = z.object({
  /** Steps that this is the mean of: those since the stage was begun or resumed. */
  steps: z.int(),
  stepSeconds: z.number(),
  exchangeSeconds: z.number(),
  ranks: z.array(rankWork),
});
export type SharedStage = z.infer<typeof sharedStage>;

/** Of an experiment, by stage; one that a single process trained is not there. */
export const sharedStages = z.partialRecord(jobKind, sharedStage);
export type SharedStages = z.infer<typeof sharedStages>;

/** In plain words, on every surface. */
export function sharedInWords({ stepSeconds, exchangeSeconds, ranks }: SharedStage): Message {
  const mean = (of: (rank: RankWork) => number): number =>
    ranks.reduce((sum, rank) => sum + of(rank), 0) / ranks.length;
  const computing = ranks.map(({ computingSeconds }) => computingSeconds);
  return message('ranks.shared', {
    nodes: ranks.map(({ node }) => node),
    stepSeconds,
    exchangeSeconds,
    computingSeconds: mean(({ computingSeconds }) => computingSeconds),
    waitingSeconds: mean(({ waitingSeconds }) => waitingSeconds),
    sentBytes: mean(({ sentBytes }) => sentBytes),
    slowest: computing.indexOf(Math.max(...computing)),
  });
}
