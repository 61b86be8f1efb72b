/** What a job is told and what it says: the messages between the workbench and a worker process. */
import { z } from 'zod';
import { errorCodes } from './error-codes.ts';
import { exportSettings, recipeSchema } from './recipe.ts';

/** A unit of work in a worker process, in the order in which an experiment runs them. */
export const jobKind = z.enum([
  'finetune',
  // The student's start without the layers that it needs least.
  'cut',
  'refine',
  'calibrate',
  'reconstruct',
  'pretrain',
  'distil',
  'baseline',
  'evaluate',
  'export',
  // Memory and speed, each in a process of its own so that the resident memory is that model's alone.
  'measure-teacher',
  'measure-baseline',
  'measure-student',
  // The fine-tuned teacher in four bits, evaluated and measured in llama.cpp.
  'four-bit',
]);
export type JobKind = z.infer<typeof jobKind>;

/** Jobs that several ranks share; the others run once, where the workbench is. */
export const jobsOfRanks: readonly JobKind[] = [
  'finetune',
  'reconstruct',
  'pretrain',
  'distil',
  'baseline',
  'evaluate',
];

export const jobSpec = z.object({
  kind: jobKind,
  recipe: recipeSchema,
  /** The experiment's folder; a job reads the artifacts of earlier jobs there and leaves its own. */
  folder: z.string(),
  /** For an export job: the files to write now. Absent: all that the recipe asks for. */
  exports: z.array(exportSettings).optional(),
});
export type JobSpec = z.infer<typeof jobSpec>;

export const artifact = z.object({
  /** Name that is unique in the experiment, such as `teacher`, `student`, `baseline`, `export-i2_s`. */
  name: z.string(),
  /** Path relative to the experiment's folder. */
  path: z.string(),
  bytes: z.number(),
  sha256: z.string(),
});
export type Artifact = z.infer<typeof artifact>;

export const serialisedError = z.object({
  code: z.enum(errorCodes),
  /** The message's id and parameters in the catalogue; absent in what older versions wrote. */
  id: z.string().optional(),
  params: z.unknown().optional(),
  message: z.string(),
  cause: z.string().optional(),
  remedy: z.string().optional(),
  details: z.string().optional(),
});

/** Any number: NaN and infinity are findings too (a loss that diverged), so they must cross. */
const measured = z.custom<number>((value) => typeof value === 'number');

/** Said by a job, in order. */
export const jobEvent = z.discriminatedUnion('type', [
  /** `done` of `total` units of work (optimiser steps, rows, tensors); `unit` names them. `resumed`: units done before this session. */
  z.object({
    type: z.literal('progress'),
    done: z.number(),
    total: z.number(),
    unit: z.string(),
    resumed: z.number().default(0),
    note: z.string().optional(),
  }),
  /** Measured values at a step, by the names of metric-names.ts. */
  z.object({ type: z.literal('metrics'), step: z.number(), values: z.record(z.string(), measured) }),
  z.object({ type: z.literal('checkpoint'), step: z.number(), path: z.string() }),
  z.object({ type: z.literal('artifact'), artifact }),
  z.object({ type: z.literal('log'), level: z.enum(['info', 'warning']), text: z.string() }),
  /** Ended well; `result` is what the job found out (see `jobResults`, by kind). */
  z.object({ type: z.literal('done'), result: z.json() }),
  /** The state is saved and the process is about to end. */
  z.object({ type: z.literal('paused'), step: z.number() }),
  z.object({ type: z.literal('cancelled') }),
  z.object({ type: z.literal('failed'), error: serialisedError }),
]);
export type JobEvent = z.infer<typeof jobEvent>;

/** Said to a job. `pause` saves a checkpoint first, `cancel` does not. */
export const jobCommand = z.discriminatedUnion('type', [
  z.object({ type: z.literal('start'), spec: jobSpec }),
  z.object({ type: z.literal('pause') }),
  z.object({ type: z.literal('cancel') }),
]);
export type JobCommand = z.infer<typeof jobCommand>;
