/** What the workbench says to a process that looks at single rows or holds an exported model (playground, benchmarks), and what it answers. */
import { z } from 'zod';
import { componentName, componentProgress, componentState } from './components.ts';
import { serialisedError } from './jobs.ts';
import { newRowsReview, reviewRequest } from './new-rows.ts';
import { exportType, taskSettings } from './recipe.ts';
import {
  differencesAnswer,
  differencesRequest,
  previewAnswer,
  previewRequest,
  previewSurvey,
} from './result-queries.ts';
import { trainedModel } from './results.ts';
import { readingOptions } from './table-reading.ts';

export const answerRequest = z.object({
  /** GGUF file. */
  path: z.string(),
  /** Folder whose tokenizer the file was made with, or a GGUF file that holds one. */
  tokenizer: z.string(),
  task: taskSettings,
  /** Seed of the recipe: it decides which rows were held out. */
  seed: z.int(),
  /** Folder of the experiment, whose cache says which labels there are without the training file being read. */
  experiment: z.string().optional(),
  /** Of the model's evaluation; absent: scores are told as they are. */
  temperature: z.number().positive().optional(),
  /** The text columns of the task by name. */
  input: z.record(z.string(), z.string()),
  maxTokens: z.int().min(1).max(2048),
  /** How many models answer at this moment, this one included: they share the processor. */
  answering: z.int().min(1).max(8).default(1),
});
export type AnswerRequest = z.infer<typeof answerRequest>;

const threads = z.int().min(1).max(256);

/** Which program runs the file: ours, or llama.cpp where that component is installed. */
export const runtimeEngine = z.enum(['tritsmith', 'llama.cpp']);
export type RuntimeEngine = z.infer<typeof runtimeEngine>;

/** Free text after a prompt that is given as it is, without a task's template. */
export const generateRequest = z.object({
  path: z.string(),
  tokenizer: z.string(),
  prompt: z.string(),
  maxTokens: z.int().min(1).max(1_048_576),
  /** 0 is greedy. */
  temperature: z.number().min(0).max(100).default(0),
  /** 0 keeps all tokens. */
  topK: z.int().min(0).default(0),
  topP: z.number().min(0).max(1).default(1),
  repetitionPenalty: z.number().positive().max(100).default(1),
  /** Strings that end the answer; they are no part of it. */
  stop: z.array(z.string()).default([]),
  seed: z.int().min(0).max(0xffff_ffff).default(1),
  /** Absent: one less than the processor has. */
  threads: threads.optional(),
});
export type GenerateRequest = z.infer<typeof generateRequest>;

export const classifyRequest = z.object({
  path: z.string(),
  tokenizer: z.string(),
  task: taskSettings,
  seed: z.int(),
  /** As for an answer. */
  experiment: z.string().optional(),
  /** Of the model's evaluation; absent: scores are told as they are. */
  temperature: z.number().positive().optional(),
  /** Text columns of one row, or a file of rows. */
  source: z.union([
    z.object({ input: z.record(z.string(), z.string()) }),
    z.object({ file: z.string(), reading: readingOptions.optional() }),
  ]),
  /** Where the rows of a file go, with their labels and scores. */
  output: z
    .object({
      path: z.string(),
      /** Rows whose likeliest label has less are marked; null: no row is. */
      unsureBelow: z.number().min(0).max(1).nullable(),
    })
    .optional(),
  threads: threads.optional(),
  /** Absent: ours. */
  engine: runtimeEngine.optional(),
});
export type ClassifyRequest = z.infer<typeof classifyRequest>;

export const labelScore = z.object({
  label: z.string(),
  /** They sum to 1 over the labels. */
  probability: z.number(),
  /** Log-probability of the label's words among all texts; the evaluation compares these. */
  logProbability: z.number(),
});
export type LabelScore = z.infer<typeof labelScore>;

export const benchmarkRequest = z.object({
  path: z.string(),
  threads: z.array(threads).min(1).max(8),
  promptLengths: z.array(z.int().min(1).max(32_768)).min(1).max(8),
  decodeTokens: z.int().min(1).max(512).default(32),
  /** Absent: ours. */
  engine: runtimeEngine.optional(),
});
export type BenchmarkRequest = z.infer<typeof benchmarkRequest>;

export const benchmarkPoint = z.object({
  threads: z.number(),
  promptTokens: z.number(),
  prefillTokensPerSecond: z.number(),
  decodeTokensPerSecond: z.number(),
  /** Prompt and 32 answer tokens, say: what one request takes. */
  requestSeconds: z.number(),
  /** What loading and running the model added to the process. */
  rssBytes: z.number(),
});
export type BenchmarkPoint = z.infer<typeof benchmarkPoint>;

/** Medians over several processes. */
export const fileBenchmark = benchmarkPoint.omit({ requestSeconds: true }).extend({ loadSeconds: z.number() });
export type FileBenchmark = z.infer<typeof fileBenchmark>;

export const runtimeCommand = z.discriminatedUnion('type', [
  z.object({ type: z.literal('answer'), request: answerRequest }),
  z.object({ type: z.literal('generate'), request: generateRequest }),
  z.object({ type: z.literal('classify'), request: classifyRequest }),
  z.object({ type: z.literal('review'), request: reviewRequest }),
  z.object({ type: z.literal('benchmark'), request: benchmarkRequest }),
  z.object({ type: z.literal('preview'), request: previewRequest, survey: previewSurvey.optional() }),
  z.object({ type: z.literal('differences'), request: differencesRequest }),
  z.object({ type: z.literal('components') }),
  /** `proxy`: address of the one that npm is to use; empty for the environment's. */
  z.object({ type: z.literal('install-component'), name: componentName, proxy: z.string() }),
  z.object({ type: z.literal('remove-component'), name: componentName }),
  /** To a process that is at work: end after the current token or row. */
  z.object({ type: z.literal('cancel') }),
]);
export type RuntimeCommand = z.infer<typeof runtimeCommand>;

export const runtimeMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('loaded'), seconds: z.number(), weightBytes: z.number(), kernel: z.string() }),
  z.object({ type: z.literal('token'), text: z.string() }),
  z.object({ type: z.literal('labels'), scores: z.array(labelScore) }),
  /** One row of a classified file, counted from 1, with the label that the file itself gives. */
  z.object({
    type: z.literal('classified'),
    row: z.number(),
    expected: z.string().nullable(),
    scores: z.array(labelScore),
  }),
  z.object({
    type: z.literal('answered'),
    promptTokens: z.number(),
    /** Tokens written; of a class, those of the likeliest label's words. */
    answerTokens: z.number(),
    prefillSeconds: z.number(),
    decodeSeconds: z.number(),
    residentBytes: z.number(),
    /** Why generated text ends. */
    reason: z.enum(['stop', 'length', 'context', 'cancelled']).optional(),
  }),
  z.object({ type: z.literal('point'), point: benchmarkPoint, done: z.number(), total: z.number() }),
  z.object({ type: z.literal('previewed'), answer: previewAnswer, survey: previewSurvey.nullable() }),
  z.object({ type: z.literal('compared'), answer: differencesAnswer }),
  /** New rows that were looked at so far. */
  z.object({ type: z.literal('reviewing'), rows: z.number() }),
  z.object({ type: z.literal('reviewed'), review: newRowsReview }),
  z.object({ type: z.literal('component-progress'), progress: componentProgress }),
  /** How things stand, after whatever was asked. */
  z.object({ type: z.literal('component-states'), states: z.array(componentState) }),
  /** The last word when all went well. */
  z.object({ type: z.literal('finished') }),
  z.object({ type: z.literal('failed'), error: serialisedError }),
]);
export type RuntimeMessage = z.infer<typeof runtimeMessage>;

/** One exported file in one program. Without `type` the file that our runtime takes for the model. */
export const benchmarkSubject = z.object({
  model: trainedModel,
  engine: runtimeEngine.default('tritsmith'),
  type: exportType.optional(),
});
export type BenchmarkSubject = z.infer<typeof benchmarkSubject>;

/** Benchmarks that were kept. */
export const savedBenchmark = z.object({
  id: z.string(),
  experiment: z.string(),
  name: z.string(),
  time: z.number(),
  processor: z.string(),
  models: z.array(
    z.object({
      model: trainedModel,
      engine: runtimeEngine.default('tritsmith'),
      type: z.string(),
      fileBytes: z.number(),
      points: z.array(benchmarkPoint),
    }),
  ),
});
export type SavedBenchmark = z.infer<typeof savedBenchmark>;
