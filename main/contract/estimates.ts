/** What a training takes, as terms: each with its bytes and the figures that they come from. messages/en/estimates.ts puts them into words. */
import { z } from 'zod';
import { jobKind } from './jobs.ts';
import { told } from './messages/told-schema.ts';
import { exportType } from './recipe.ts';

const amount = z.number().min(0);

function term<Id extends string, Params extends z.ZodRawShape>(id: Id, params: Params) {
  return z.object({ id: z.literal(id), bytes: amount, params: z.object(params) });
}

/** Memory of one optimiser step. */
export const memoryTerm = z.discriminatedUnion('id', [
  /** The trained model: weight, gradient and two moments of each parameter. `moments`: not in float32. */
  term('trained', { parameters: amount, bytesEach: amount, moments: z.enum(['8-bit']).optional() }),
  /** The teacher's weights, where a student learns from one. */
  term('teacher', { parameters: amount, bytesEach: amount }),
  /** The weights that compute, beside the latent ones. */
  term('ternary', { parameters: amount, bytesEach: amount }),
  /** What the layers keep from the forward to the backward pass of a micro-batch; only their inputs where the rest is computed again. */
  term('activations', { tokens: amount, layers: amount, recomputed: z.boolean() }),
  /** What the engine's sessions hold while they run, in layers' worth of activations. */
  term('sessions', { tokens: amount, layers: amount }),
  /** Matrices of the attention term. */
  term('relation', { heads: amount, rowLength: amount }),
  /** Logits, their probabilities and gradients. */
  term('logits', { rows: amount, vocabulary: amount, buffers: amount }),
  /** The gradient of the head while it is made. */
  term('head-gradient', { parameters: amount, buffers: amount }),
  /** Sums of a step in shards that wait for their other half, in one process; each of several ranks has fewer. */
  term('shard-sums', { parameters: amount, buffers: amount }),
  /** What a rounded exchange carries over of each part and of the parameters, and the change of these, in one process; ranks share it. */
  term('exchange-rests', { parameters: amount, parts: amount }),
  /** One layer while its codes are chosen: its weights several times. */
  term('layer', { parameters: amount, bytesEach: amount }),
  /** What a calibration sums of the inputs of the widest matrix, and what it makes of that. */
  term('moments', { width: amount, matrices: amount }),
  /** The process with the engine before any model. */
  term('engine', {}),
]);
export type MemoryTerm = z.infer<typeof memoryTerm>;

/** Disk that a stage fills. */
export const diskTerm = z.discriminatedUnion('id', [
  /** `generations`: the last checkpoint and the one before. They go when the stage is done. */
  term('checkpoint-files', { stage: jobKind, generations: amount, parameters: amount, bytesEach: amount }),
  /** The parameters of the best step so far. */
  term('best-step', { stage: jobKind, parameters: amount, bytesEach: amount }),
  /** A further generation while it is written, before the oldest is removed. */
  term('checkpoint-in-writing', { parameters: amount, bytesEach: amount }),
  /** A model folder: weights, and the tokenizer's files. */
  term('model', { stage: jobKind, parameters: amount, bytesEach: amount, tokenizerBytes: amount }),
  /** What enters and leaves some layers while they are reconstructed or calibrated, and once more while it is written. */
  term('hidden-states', { files: amount, tokens: amount, width: amount }),
  /** What the teacher gave of each token, where it is asked once. */
  term('taught', { tokens: amount, bytesEach: amount }),
  /** Layers that are calibrated, before they are put together. */
  term('layer-files', { parameters: amount, bytesEach: amount }),
  /** The task's rows or the corpus as tokens. */
  term('tokens', { stage: jobKind, tokens: amount }),
  term('export', { type: exportType, model: z.string() }),
  /** The files of a model on the Hub. */
  term('download', { files: amount }),
]);
export type DiskTerm = z.infer<typeof diskTerm>;

export const resourceTerm = z.union([memoryTerm, diskTerm]);
export type ResourceTerm = z.infer<typeof resourceTerm>;

/** Of a task as a training meets it. */
export const taskSize = z.object({
  /** Training rows, without those that are held out. */
  rows: amount,
  /** Tokens of all of them, prompts and answers. */
  tokens: amount,
  answerTokens: amount,
  longestRow: amount,
  longestAnswer: amount,
  evaluationRows: amount,
  evaluationTokens: amount,
});
export type TaskSize = z.infer<typeof taskSize>;

/** What a rehearsal on this machine measured: optimiser steps of the full-precision teacher. */
export const measuredSpeed = z.object({ steps: amount, secondsPerStep: amount, tokensPerSecond: amount });
export type MeasuredSpeed = z.infer<typeof measuredSpeed>;

const range = z.object({ low: amount, high: amount });

export const stageEstimate = z.object({
  kind: jobKind,
  /** Optimiser steps and the tokens in them; 0 where nothing is trained. */
  steps: amount,
  tokens: amount,
  /** Floating-point operations, weighted by what they cost beside those of a full-precision step. */
  work: amount,
  seconds: range,
  /** How far a ternary weight can move in the stage, in units of its matrix's delta (the width of a bin); null where none is trained. */
  travel: amount.nullable(),
  memory: z.array(memoryTerm),
  disk: z.array(diskTerm),
});
export type StageEstimate = z.infer<typeof stageEstimate>;

/** Where the seconds come from. */
export const timeBasis = z.object({
  /** Of one core without a rehearsal, of the whole machine with one: operations in a second. */
  speed: range,
  cores: amount,
  /** Seconds of each job besides: starting a process, loading, saving. */
  overhead: range,
  measured: measuredSpeed.nullable(),
});
export type TimeBasis = z.infer<typeof timeBasis>;

/** A worker's answer: what each job of a recipe takes. */
export const recipeForecast = z.object({
  /** Of the teacher. */
  parameters: amount,
  size: taskSize,
  stages: z.array(stageEstimate),
  basis: timeBasis,
  /** What will not work as it should. */
  warnings: z.array(told),
});
export type RecipeForecast = z.infer<typeof recipeForecast>;

/** What a published model would take to be distilled with the smallest steps. */
export const modelForecast = z.object({ name: z.string(), memory: z.array(memoryTerm), disk: z.array(diskTerm) });
export type ModelForecast = z.infer<typeof modelForecast>;
