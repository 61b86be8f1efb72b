/** What a model server says to the process that holds an exported model and answers many requests at once, and what it answers. */
import { z } from 'zod';
import { deployedTask } from './deployed-task.ts';
import { labelScore } from './helper-protocol.ts';
import { serialisedError } from './jobs.ts';
import { taskSettings } from './recipe.ts';

/** An exported model and how its texts are prepared. */
export const modelToServe = z.object({
  /** GGUF file. */
  path: z.string(),
  /** Folder whose tokenizer the file was made with, or a GGUF file that holds one. */
  tokenizer: z.string(),
  /** What a student was trained for; null for a file by itself, which is given texts and chats as they come. */
  task: z
    .union([
      z.object({
        settings: taskSettings,
        /** Seed of the recipe and folder of the experiment: they say which labels there are. */
        seed: z.int(),
        experiment: z.string(),
        /** Of the model's evaluation; absent: scores are told as they are. */
        temperature: z.number().positive().optional(),
      }),
      /** Of a folder that was handed over. */
      z.object({ deployed: deployedTask }),
    ])
    .nullable(),
  threads: z.int().min(1).max(256),
  /** Tokens that prompt and answer may have together. Absent: what the model was trained for, at most 4096. */
  contextLength: z.int().min(8).max(1_048_576).optional(),
  /** Requests that are computed at once. Absent: 32, fewer where half of the free memory does not hold their caches. */
  conversations: z.int().min(1).max(256).optional(),
});
export type ModelToServe = z.infer<typeof modelToServe>;

export const chatMessage = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
export type ChatMessage = z.infer<typeof chatMessage>;

export const writeRequest = z.object({
  type: z.literal('write'),
  id: z.int(),
  /** A text that is given to the model as it is, or a chat. */
  prompt: z.union([z.string(), z.array(chatMessage)]),
  /** Null: as many as the context holds; after a chat with a task's student, as many as its answers may have. */
  maxTokens: z.int().min(1).nullable(),
  temperature: z.number(),
  topP: z.number(),
  stop: z.array(z.string()),
  seed: z.int().min(0).max(0xffff_ffff),
});
export type WriteRequest = z.infer<typeof writeRequest>;

export const scoreRequest = z.object({
  type: z.literal('score'),
  id: z.int(),
  /** The text columns of the task by name. */
  input: z.record(z.string(), z.string()),
});
export type ScoreRequest = z.infer<typeof scoreRequest>;

/** `open` comes first and once; of the requests as many at once as there are conversations. */
export const servingCommand = z.discriminatedUnion('type', [
  z.object({ type: z.literal('open'), model: modelToServe }),
  writeRequest,
  scoreRequest,
  /** End the request after the current step. */
  z.object({ type: z.literal('cancel'), id: z.int() }),
]);
export type ServingCommand = z.infer<typeof servingCommand>;

/** What the model turned out to be. */
export const servedFacts = z.object({
  contextLength: z.number(),
  /** Requests that are computed at once, and bytes that their caches take at most. */
  conversations: z.number(),
  mostCacheBytes: z.number(),
  weightBytes: z.number(),
  kernel: z.string(),
  loadSeconds: z.number(),
  /** Text columns of the task; empty for a file by itself. */
  textColumns: z.array(z.string()),
  /** Classes of a classification task, else null. */
  labels: z.array(z.string()).nullable(),
  /** How a chat becomes a prompt: through the task's own template, through the model's chat template, or not at all. */
  chat: z.enum(['task', 'template', 'none']),
});
export type ServedFacts = z.infer<typeof servedFacts>;

export const written = z.object({
  type: z.literal('written'),
  id: z.int(),
  promptTokens: z.number(),
  answerTokens: z.number(),
  reason: z.enum(['stop', 'length', 'cancelled']),
});
export type Written = z.infer<typeof written>;

export const scored = z.object({
  type: z.literal('scored'),
  id: z.int(),
  promptTokens: z.number(),
  /** The text was longer than the task allows and lost its middle, as in training. */
  shortened: z.boolean(),
  scores: z.array(labelScore),
});
export type Scored = z.infer<typeof scored>;

export const servingMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('opened'), facts: servedFacts }),
  z.object({ type: z.literal('text'), id: z.int(), text: z.string() }),
  written,
  scored,
  /** This request cannot be answered; the process takes the next. */
  z.object({ type: z.literal('refused'), id: z.int(), error: serialisedError }),
  /** The model cannot be opened; the process ends. */
  z.object({ type: z.literal('failed'), error: serialisedError }),
]);
export type ServingMessage = z.infer<typeof servingMessage>;
