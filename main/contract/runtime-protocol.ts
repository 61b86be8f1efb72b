/** What the workbench says to a process that looks at single rows or holds an exported model (playground, benchmarks), and what it answers. */
import { z } from 'zod';
import { serialisedError } from './jobs.ts';
import { taskSettings } from './recipe.ts';
import { differencesAnswer, differencesRequest, previewAnswer, previewRequest } from './result-queries.ts';

export const runtimeModelName = z.enum(['teacher', 'bitnet-sft', 'bitdistill']);
export type RuntimeModelName = z.infer<typeof runtimeModelName>;

export const answerRequest = z.object({
  /** GGUF file. */
  path: z.string(),
  /** Folder whose tokenizer the file was made with. */
  tokenizer: z.string(),
  task: taskSettings,
  /** The text columns of the task by name. */
  input: z.record(z.string(), z.string()),
  maxTokens: z.int().min(1).max(2048),
});
export type AnswerRequest = z.infer<typeof answerRequest>;

export const benchmarkRequest = z.object({
  path: z.string(),
  threads: z.array(z.int().min(1).max(256)).min(1).max(8),
  promptLengths: z.array(z.int().min(1).max(32_768)).min(1).max(8),
  decodeTokens: z.int().min(1).max(512).default(32),
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

export const runtimeCommand = z.discriminatedUnion('type', [
  z.object({ type: z.literal('answer'), request: answerRequest }),
  z.object({ type: z.literal('benchmark'), request: benchmarkRequest }),
  z.object({ type: z.literal('preview'), request: previewRequest }),
  z.object({ type: z.literal('differences'), request: differencesRequest }),
]);
export type RuntimeCommand = z.infer<typeof runtimeCommand>;

export const runtimeMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('loaded'), seconds: z.number(), weightBytes: z.number(), kernel: z.string() }),
  z.object({ type: z.literal('token'), text: z.string() }),
  /** Probability of each label, for classification; they sum to 1 over the labels. */
  z.object({ type: z.literal('labels'), scores: z.array(z.object({ label: z.string(), probability: z.number() })) }),
  z.object({
    type: z.literal('answered'),
    promptTokens: z.number(),
    answerTokens: z.number(),
    prefillSeconds: z.number(),
    decodeSeconds: z.number(),
    residentBytes: z.number(),
  }),
  z.object({ type: z.literal('point'), point: benchmarkPoint, done: z.number(), total: z.number() }),
  z.object({ type: z.literal('previewed'), answer: previewAnswer }),
  z.object({ type: z.literal('compared'), answer: differencesAnswer }),
  /** The last word when all went well. */
  z.object({ type: z.literal('finished') }),
  z.object({ type: z.literal('failed'), error: serialisedError }),
]);
export type RuntimeMessage = z.infer<typeof runtimeMessage>;

/** Benchmarks that were kept. */
export const savedBenchmark = z.object({
  id: z.string(),
  experiment: z.string(),
  name: z.string(),
  time: z.number(),
  processor: z.string(),
  models: z.array(
    z.object({ model: runtimeModelName, type: z.string(), fileBytes: z.number(), points: z.array(benchmarkPoint) }),
  ),
});
export type SavedBenchmark = z.infer<typeof savedBenchmark>;
