/** Experiments as the workbench keeps them and as every shell shows them. Times are milliseconds since 1970, durations seconds. */
import { z } from 'zod';
import { artifact, jobEvent, jobKind, serialisedError } from './jobs.ts';
import { recipeSchema } from './recipe.ts';

/** `interrupted`: it was running when its workbench ended without a word (crash, power cut); it can be resumed. */
export const experimentState = z.enum(['created', 'running', 'paused', 'interrupted', 'failed', 'cancelled', 'done']);
export type ExperimentState = z.infer<typeof experimentState>;

export const stageState = z.enum(['pending', 'running', 'paused', 'interrupted', 'failed', 'done']);
export type StageState = z.infer<typeof stageState>;

export const stageRecord = z.object({
  position: z.int(),
  kind: jobKind,
  weight: z.number(),
  state: stageState,
  done: z.number(),
  total: z.number(),
  unit: z.string(),
  started: z.number().nullable(),
  ended: z.number().nullable(),
  /** Time spent in this stage over all sessions. */
  seconds: z.number(),
  error: serialisedError.nullable(),
  result: z.json().nullable(),
});
export type StageRecord = z.infer<typeof stageRecord>;

export const machineDescription = z.object({
  platform: z.string(),
  architecture: z.string(),
  processor: z.string(),
  cores: z.number(),
  memoryBytes: z.number(),
});
export type MachineDescription = z.infer<typeof machineDescription>;

export const experimentRecord = z.object({
  id: z.string(),
  name: z.string(),
  state: experimentState,
  recipe: recipeSchema,
  seed: z.number(),
  created: z.number(),
  started: z.number().nullable(),
  ended: z.number().nullable(),
  machine: machineDescription,
  /** Program, Node and package versions by name. */
  versions: z.record(z.string(), z.string()),
  error: serialisedError.nullable(),
  stages: z.array(stageRecord),
  artifacts: z.array(artifact.extend({ stage: jobKind })),
});
export type ExperimentRecord = z.infer<typeof experimentRecord>;

/** Seconds until the end, as a range; null while nothing has been measured. */
export const timeRange = z.object({ low: z.number(), high: z.number() }).nullable();
export type TimeRange = z.infer<typeof timeRange>;

/** What a running experiment says to whoever watches. */
export const experimentEvent = z.discriminatedUnion('type', [
  /** Its own state, or that of one of its stages, changed. */
  z.object({ type: z.literal('changed'), experiment: experimentRecord }),
  z.object({ type: z.literal('job'), stage: jobKind, event: jobEvent }),
  /** `fraction`: weighted share of the whole experiment that is done, never falling. */
  z.object({ type: z.literal('estimate'), fraction: z.number(), stage: timeRange, whole: timeRange }),
  /** Nothing has been heard of the worker for so many minutes; 0: it is heard again. */
  z.object({ type: z.literal('silent'), stage: jobKind, minutes: z.number() }),
  /** The worker, or the machine, was stopped for so long; the time counts neither as work nor as pace. */
  z.object({ type: z.literal('gap'), stage: jobKind, seconds: z.number() }),
  z.object({ type: z.literal('warning'), text: z.string() }),
]);
export type ExperimentEvent = z.infer<typeof experimentEvent>;
