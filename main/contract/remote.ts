/** What a workbench and its counterpart on another computer say to each other over ssh: one request a connection, JSON a line, then bytes. */
import { z } from 'zod';
import { experimentRecord, experimentState, machineDescription } from './experiments.ts';
import { jobKind, serialisedError } from './jobs.ts';
import { recipeSchema } from './recipe.ts';

/** Raised by whatever changes this file; both sides must have the same. */
export const remoteProtocol = 2;

/** Begins the line before the first answer: what a login script prints comes before it. The protocol's and the program's version follow. */
export const agentMark = '@tritsmith-agent';

/** The longest line of either side, bytes. */
export const longestLine = 32 * 1024 * 1024;

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** Becomes the name of a folder. */
export const remoteRunId = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,78}[a-z0-9])?$/);

/** A way down from a folder that cannot lead out of it, with `/` between its parts on every system. */
export const wayDown = z
  .string()
  .min(1)
  .max(4096)
  .refine((path) => !path.includes('\0') && !path.includes('\\') && path.split('/').every(isPlainPart), {
    message: 'must lead down from its folder',
  });

function isPlainPart(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..';
}

const content = z.object({ sha256, bytes: z.int().min(0) });
/** A file by what is in it. */
export type Content = z.infer<typeof content>;
const placedFile = content.extend({ path: wayDown });
export type PlacedFile = z.infer<typeof placedFile>;

export const remoteRequest = z.discriminatedUnion('type', [
  /** Which program, on which machine: `remoteHello`. */
  z.object({ type: z.literal('hello') }),
  /** How much of each content is there already: `presentBytes`. */
  z.object({ type: z.literal('have'), contents: z.array(content) }),
  /** The bytes of each content from `from` on follow, one after the other: `stored`. */
  z.object({ type: z.literal('put'), contents: z.array(content.extend({ from: z.int().min(0) })) }),
  /** How the other side understands a recipe, before anything is copied: `understoodRecipe`. Refused as `start` would be. */
  z.object({ type: z.literal('understand'), recipe: z.unknown(), beside: z.boolean() }),
  /**
   * Starts a run whose recipe names files by their way down from the folder that `files` make: `remoteStatus`. Once more is no second run. Refused while
   * another one runs, unless `beside` says that this one is to run beside it.
   */
  z.object({
    type: z.literal('start'),
    id: remoteRunId,
    recipe: z.unknown(),
    files: z.array(placedFile),
    beside: z.boolean(),
  }),
  /** Its status now, and whenever it changes, until no process of it is left: `remoteStatus`, line by line. */
  z.object({ type: z.literal('watch'), id: remoteRunId }),
  /** Asks it to stop; then as `watch`. */
  z.object({ type: z.literal('stop'), id: remoteRunId, how: z.enum(['pause', 'cancel']) }),
  /** Goes on from the last checkpoint: `remoteStatus`. Refused as `start` is. */
  z.object({ type: z.literal('resume'), id: remoteRunId, beside: z.boolean() }),
  /** Removes one that does not run, and of the copied files those that no other run needs: `removedRun`. */
  z.object({ type: z.literal('remove'), id: remoteRunId }),
  /** The status of these runs; those that are not there any more are left out: `remoteStatus[]`. */
  z.object({ type: z.literal('statuses'), ids: z.array(remoteRunId) }),
  /** What its experiment consists of: `remoteExperiment`. */
  z.object({ type: z.literal('files'), id: remoteRunId }),
  /** The bytes of these files from `from` on, one after the other, behind an empty answer. */
  z.object({
    type: z.literal('get'),
    id: remoteRunId,
    files: z.array(z.object({ path: wayDown, from: z.int().min(0), bytes: z.int().min(0) })),
  }),
]);
export type RemoteRequest = z.infer<typeof remoteRequest>;

export const remoteHello = z.object({
  machine: machineDescription,
  versions: z.record(z.string(), z.string()),
  freeBytes: z.number(),
  /** Runs with a living process. */
  running: z.array(z.string()),
});
export type RemoteHello = z.infer<typeof remoteHello>;

export const presentBytes = z.object({ present: z.array(z.int().min(0)), freeBytes: z.number() });

/** Contents that came whole but were others than announced: they are dropped, and can be sent again. */
export const stored = z.object({ damaged: z.array(sha256) });

export const understoodRecipe = z.object({ recipe: recipeSchema });

export const remoteStatus = z.object({
  id: remoteRunId,
  /** A process of it lives. */
  running: z.boolean(),
  /** `created` until its experiment has begun. */
  state: experimentState,
  /** Weighted share that is done, 0 to 1. */
  fraction: z.number(),
  stage: z
    .object({
      kind: jobKind,
      done: z.number(),
      total: z.number(),
      unit: z.string(),
      /** Latest values; null where there are none. */
      loss: z.number().nullable(),
      tokensPerSecond: z.number().nullable(),
    })
    .nullable(),
  /** Time spent on all stages. */
  seconds: z.number(),
  error: serialisedError.nullable(),
});
export type RemoteStatus = z.infer<typeof remoteStatus>;

export const removedRun = z.object({ freedBytes: z.number() });
export type RemovedRun = z.infer<typeof removedRun>;

export const remoteExperiment = z.object({ record: experimentRecord, files: z.array(placedFile) });
export type RemoteExperiment = z.infer<typeof remoteExperiment>;

export const remoteAnswer = z.union([z.object({ error: serialisedError }), z.object({ value: z.unknown() })]);

/** Where runs go: what ssh calls the machine, and the program's folder there (from the home folder on, or absolute). */
export const remotePlace = z.object({ host: z.string().min(1), folder: z.string().min(1) });
export type RemotePlace = z.infer<typeof remotePlace>;

/** A run that was sent, as its own workspace keeps it. */
export const sentRun = z.object({
  id: remoteRunId,
  place: remotePlace,
  name: z.string(),
  /** Milliseconds since 1970. */
  sent: z.number(),
  /** With the paths of this machine. */
  recipe: recipeSchema,
  /** The last that was heard of it, and when. */
  last: z.object({ status: remoteStatus, heard: z.number() }).nullable(),
  /** The experiment that it became here. */
  fetched: z.string().nullable(),
});
export type SentRun = z.infer<typeof sentRun>;

/** A run that was sent, as pages show it. */
export const remoteRunView = z.object({
  id: remoteRunId,
  name: z.string(),
  /** As it is written behind `--on`. */
  where: z.string(),
  sent: z.number(),
  /** The last that was heard, and when; null: nothing yet. */
  status: remoteStatus.nullable(),
  heard: z.number().nullable(),
  /** The other computer answered, and does not have it any more. */
  gone: z.boolean(),
  /** The experiment that it became here; what is there is a copy then. */
  fetched: z.string().nullable(),
  /** Why the other computer could not be asked just now. */
  problem: serialisedError.nullable(),
});
export type RemoteRunView = z.infer<typeof remoteRunView>;
