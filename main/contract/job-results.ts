/** What each kind of job found out; said with its `done`, checked where it arrives. */
import { z } from 'zod';
import { type JobKind, serialisedError } from './jobs.ts';
import { deciding } from './recipe.ts';
import { comparedModel, measurement } from './results.ts';

const trained = z.object({
  /** Optimiser steps that were taken. */
  steps: z.number(),
  /** What took them, in this order, where a graphics card was among it; `processor` is the one of the machine. */
  computedOn: z.array(z.string()).optional(),
  /** The step whose model was kept, where the recipe asks for the best; by what, how good it was, on how many rows. */
  kept: z.object({ step: z.number(), measure: deciding, value: z.number(), rows: z.number() }).optional(),
});
/** `measured: false`: no file of the model runs in our runtime. */
const measured = z.union([measurement, z.object({ measured: z.literal(false) })]);

export const jobResults = {
  finetune: trained,
  /** Layers that stayed, from 0, of how many. */
  cut: z.object({ kept: z.array(z.number()), layers: z.number() }),
  /** How many norms were put in. */
  refine: z.object({ norms: z.number() }),
  /**
   * Relative squared error of a layer's output, given the same inputs, mean over the layers and their tokens: with absmean's codes (`before`), and with the
   * codes that were chosen.
   */
  calibrate: z.object({ layers: z.number(), before: z.number(), error: z.number() }),
  /** `error`: relative squared error of the last layer's output in the whole student, mean over the tokens of all rows. */
  reconstruct: trained.extend({ windows: z.number(), error: z.number() }),
  pretrain: trained.extend({ tokens: z.number() }),
  distil: trained,
  baseline: trained,
  /** The score of each model. */
  evaluate: z.partialRecord(comparedModel, z.number()),
  export: z.object({ files: z.number(), verified: z.boolean() }),
  'measure-teacher': measured,
  'measure-baseline': measured,
  'measure-student': measured,
  'four-bit': z.discriminatedUnion('compared', [
    z.object({ compared: z.literal(true), value: z.number() }),
    /** What was in the way. */
    z.object({ compared: z.literal(false), problem: serialisedError }),
  ]),
} satisfies Record<JobKind, z.ZodType>;

/** The result of each kind of job. */
export type JobResults = { readonly [Kind in JobKind]: z.infer<(typeof jobResults)[Kind]> };
