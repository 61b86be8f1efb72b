/** What the interface shows of the workbench: shapes that only procedures carry. Times are milliseconds since 1970, durations seconds, sizes bytes. */
import { z } from 'zod';
import { experimentRecord, experimentState, machineDescription, timeRange } from './experiments.ts';
import { recipeForecast } from './estimates.ts';
import { hubDownload } from './hub.ts';
import { isMessageId, type MessageId } from './messages/message.ts';
import { jobKind } from './jobs.ts';
import { servedModel } from './serving.ts';
import { sideJob } from './side-jobs.ts';
import { comparedModel, comparison, exportedFile, modelEvaluation } from './results.ts';
import { resourceEstimate } from './resources.ts';

export const applicationInformation = z.object({
  version: z.string(),
  shell: z.enum(['browser', 'electron']),
  workspace: z.string(),
  /** Whether that is where the command line looks if none is named. */
  isOwnWorkspace: z.boolean(),
  /** Where folder pickers begin. */
  home: z.string(),
  /** What `~` stands for in a path that is typed in. */
  userFolder: z.string(),
  /** The cache of Hugging Face's own programs; null where there is none. */
  hubCache: z.string().nullable(),
  /** What happened while the workspace was opened that the user should know. */
  notices: z.array(z.string()),
  /** Where the demo teacher and task lie; null when they did not come with this copy of the program. */
  demo: z.object({ teacher: z.string(), train: z.string(), dev: z.string() }).nullable(),
  /** Path of the script that is the command line; null in a clone, where npm starts it. */
  commandLine: z.string().nullable(),
});
export type ApplicationInformation = z.infer<typeof applicationInformation>;

export const settings = z.object({
  theme: z.enum(['system', 'light', 'dark']).default('system'),
  /** Address of the proxy that downloads go through; empty: the environment's. */
  proxy: z.string().max(2000).default(''),
});
export type Settings = z.infer<typeof settings>;

/** The last that was heard of a running experiment. */
export const liveProgress = z.object({
  stage: jobKind,
  done: z.number(),
  total: z.number(),
  unit: z.string(),
  note: z.string().nullable(),
  /** Weighted share of the whole experiment, 0 to 1; never falls. */
  fraction: z.number(),
  stageSeconds: timeRange,
  wholeSeconds: timeRange,
  /** Latest value of each metric of the stage; null where it is not finite. */
  latest: z.record(z.string(), z.number().nullable()),
  /** Resident memory of the worker process; null where the system does not tell. */
  workerBytes: z.number().nullable(),
  /** What was asked of the worker and has not happened yet. */
  stopping: z.enum(['pause', 'cancel', 'restart']).nullable(),
  /** Time spent on the whole experiment and on this stage in all sessions; no change of the clock disturbs it. */
  elapsedSeconds: z.number(),
  stageElapsedSeconds: z.number(),
  /** Minutes without a word from the worker, once it is silent for so long that it may hang: `restart` is offered. */
  silentMinutes: z.number().nullable(),
});
export type LiveProgress = z.infer<typeof liveProgress>;

export const annotations = z.object({ tags: z.array(z.string().max(40)).max(20), notes: z.string().max(20_000) });
export type Annotations = z.infer<typeof annotations>;

export const experimentView = z.object({
  record: experimentRecord,
  live: liveProgress.nullable(),
  /** Place in the queue, from 0 (next); null when it does not wait. */
  queuePosition: z.int().nullable(),
  /** A pause can be asked for and the state resumed from. */
  pausable: z.boolean(),
  resumable: z.boolean(),
  annotations,
  folder: z.string(),
});
export type ExperimentView = z.infer<typeof experimentView>;

export const queueState = z.object({
  /** Experiments wait since the last workbench ended; none of them starts before a person says so. */
  held: z.boolean(),
  /** What ran when the last workbench ended and can be resumed. */
  interrupted: z.string().nullable(),
});
export type QueueState = z.infer<typeof queueState>;

/** A row of the experiments table. */
export const experimentSummary = z.object({
  id: z.string(),
  name: z.string(),
  state: experimentState,
  queuePosition: z.int().nullable(),
  preset: z.string(),
  teacher: z.string(),
  task: z.string(),
  created: z.number(),
  ended: z.number().nullable(),
  seconds: z.number(),
  /** Weighted share of the stages that are done. */
  fraction: z.number(),
  scores: z.array(z.object({ name: comparedModel, value: z.number() })),
  studentFileBytes: z.number().nullable(),
  tags: z.array(z.string()),
  notes: z.string(),
});
export type ExperimentSummary = z.infer<typeof experimentSummary>;

export const logLine = z.object({
  stage: z.string(),
  time: z.number(),
  level: z.enum(['info', 'warning']),
  text: z.string(),
});
export type LogLine = z.infer<typeof logLine>;

/** What whoever watches the workbench hears, at most a few times a second for each experiment. */
export const workbenchEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('experiment'), view: experimentView }),
  z.object({ type: z.literal('live'), id: z.string(), live: liveProgress }),
  z.object({ type: z.literal('log'), id: z.string(), lines: z.array(logLine) }),
  /** It was added, deleted or brought back, or the queue changed: read the list again. */
  z.object({ type: z.literal('list') }),
  /** A model on its way from the Hub; null once it was cancelled and nothing of it is left. */
  z.object({ type: z.literal('download'), id: z.string(), download: hubDownload.nullable() }),
  /** A job beside the stages of a finished experiment came on or ended. */
  z.object({ type: z.literal('side-job'), job: sideJob }),
  /** A student is served to other programs, or (null) not any more. */
  z.object({ type: z.literal('served'), id: z.string(), served: servedModel.nullable() }),
  /** An experiment ended, for a notification. */
  z.object({ type: z.literal('ended'), id: z.string(), name: z.string(), state: experimentState }),
]);
export type WorkbenchEvent = z.infer<typeof workbenchEvent>;

export const curve = z.object({
  name: z.string(),
  points: z.array(z.object({ step: z.number(), value: z.number().nullable() })),
});
export type Curve = z.infer<typeof curve>;

const shares = z.array(z.number().nullable());
/** Each ternary layer over time, one entry per step in `steps`: shares of -1, 0 and +1, and the share that flips in a step. */
export const ternaryWeights = z.object({
  steps: z.array(z.number()),
  layers: z.array(z.object({ negative: shares, zero: shares, positive: shares, flipRate: shares })),
});
export type TernaryWeights = z.infer<typeof ternaryWeights>;

/** An exported file with its absolute path and its hash (of a folder: of its weights). */
export const exportedModel = exportedFile.omit({ source: true }).extend({
  sha256: z.string().nullable(),
  /** The one of its model that the playground and `tritsmith classify` use. */
  preferred: z.boolean(),
});
export type ExportedModel = z.infer<typeof exportedModel>;

export const experimentResults = z.object({
  comparison: comparison.nullable(),
  evaluations: z.array(modelEvaluation.omit({ predictions: true, answers: true })),
  exports: z.array(exportedModel),
  /** What was last made of it beside its stages. */
  job: sideJob.nullable(),
});
export type ExperimentResults = z.infer<typeof experimentResults>;

export const directoryListing = z.object({
  folder: z.string(),
  parent: z.string().nullable(),
  entries: z.array(z.object({ name: z.string(), path: z.string(), folder: z.boolean(), bytes: z.number().nullable() })),
  /** The folder holds a `config.json`, so it may be a model. */
  model: z.boolean(),
  /** More entries than are listed. */
  more: z.number(),
});
export type DirectoryListing = z.infer<typeof directoryListing>;

/** The machine check. */
export const recipeEstimate = z.object({
  /** Of the stage that takes most, against what is free now. */
  memory: resourceEstimate.extend({ stage: jobKind }),
  /** Bytes of the largest stage that would lie on a graphics card: moments and the engine itself stay with the processor. */
  cardBytes: z.number(),
  /** Of all stages together, against what is free in the workspace. */
  disk: resourceEstimate,
  /** Seconds. `basis.measured`: from a rehearsal on this machine; else a guess from shapes. */
  time: z.object({ low: z.number(), high: z.number() }),
  forecast: recipeForecast,
  machine: machineDescription,
});
export type RecipeEstimate = z.infer<typeof recipeEstimate>;

export const doctorReport = z.object({
  machine: machineDescription.extend({ instructionSets: z.array(z.string()), memoryFreeBytes: z.number() }),
  workspace: z.object({ folder: z.string(), freeBytes: z.number() }),
  /** Of the engine; empty where it does not load. */
  executionProviders: z.array(z.object({ name: z.string(), bundled: z.boolean() })),
  versions: z.record(z.string(), z.string()),
  findings: z.array(
    // A message of the catalogue: what was found, and what follows from it.
    z.object({
      id: z.custom<MessageId>((id) => typeof id === 'string' && isMessageId(id)),
      params: z.unknown().optional(),
      level: z.enum(['fine', 'limit', 'problem']),
    }),
  ),
});
export type DoctorReport = z.infer<typeof doctorReport>;
export type DoctorFinding = DoctorReport['findings'][number];

/** A wizard that was left: what had been entered so far. The interface owns the shape of `content`. */
export const draft = z.object({
  id: z.string().regex(/^[a-z0-9-]{1,64}$/),
  title: z.string().max(200),
  changed: z.number(),
  content: z.json(),
});
export type Draft = z.infer<typeof draft>;
