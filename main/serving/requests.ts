/** The requests of the OpenAI interface that are answered. What is not supported is refused by name, not passed over. */
import { z } from 'zod';
import type { ChatMessage } from '../contract/serving-protocol.ts';
import { Refusal } from './refusal.ts';

/** Most texts of one request to be labelled. */
export const mostTexts = 1024;

const stop = z
  .union([z.string(), z.array(z.string()).max(4)])
  .nullish()
  .transform((value) => [value ?? []].flat().filter((text) => text !== ''));

/** Fields that both ways of writing share; those that say nothing beyond the default are let through. */
const common = {
  model: z.string().optional(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).nullish(),
  stop,
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  seed: z.int().nullish(),
  n: z.literal(1).nullish(),
  presence_penalty: z.literal(0).nullish(),
  frequency_penalty: z.literal(0).nullish(),
  logit_bias: z.strictObject({}).nullish(),
  /** Whom a request is for, and what it is called, changes no answer. */
  user: z.string().nullish(),
};
const maxTokens = z.int().min(1).max(1_048_576).nullish();

const textPart = z.strictObject({ type: z.literal('text'), text: z.string() });
const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(textPart)]),
  name: z.string().optional(),
});

const chatBody = z.strictObject({
  ...common,
  messages: z.array(message).min(1).max(1000),
  max_tokens: maxTokens,
  max_completion_tokens: maxTokens,
  response_format: z.strictObject({ type: z.literal('text') }).nullish(),
  logprobs: z.literal(false).nullish(),
  store: z.literal(false).nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
});

const completionBody = z.strictObject({
  ...common,
  prompt: z.union([z.string(), z.tuple([z.string()])]),
  max_tokens: maxTokens,
  best_of: z.literal(1).nullish(),
  echo: z.literal(false).nullish(),
});

const row = z.union([z.string(), z.record(z.string(), z.string())]);
const classifyBody = z.strictObject({
  model: z.string().optional(),
  /** One text or several: the text itself, or the text columns of the task by name. */
  input: z.union([row, z.array(row).min(1).max(mostTexts)]),
  /** Answers whose likeliest label has less are marked as unsure. */
  unsure_below: z.number().min(0).max(1).nullish(),
  user: z.string().nullish(),
});

export interface Writing {
  readonly model: string | undefined;
  readonly prompt: string | readonly ChatMessage[];
  readonly stream: boolean;
  /** A last piece of the stream tells the tokens. */
  readonly streamUsage: boolean;
  readonly stop: string[];
  /** Null: the usual one of the model. */
  readonly temperature: number | null;
  readonly topP: number;
  readonly seed: number | null;
  /** Null: until the model ends, or the context is full. */
  readonly maxTokens: number | null;
}

export interface Classifying {
  readonly model: string | undefined;
  readonly rows: readonly (string | Readonly<Record<string, string>>)[];
  readonly unsureBelow: number | null;
}

/** @throws Refusal that names the field */
export function parseChat(body: unknown): Writing {
  const { messages, max_tokens: most, max_completion_tokens: newerMost, ...rest } = parse(chatBody, body);
  const prompt = messages.map(({ role, content }): ChatMessage => ({
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
  }));
  return { ...writing(rest), prompt, maxTokens: newerMost ?? most ?? null };
}

/** @throws Refusal that names the field */
export function parseCompletion(body: unknown): Writing {
  const { prompt, max_tokens: most, ...rest } = parse(completionBody, body);
  // 16 is what the interface says of a request without a limit.
  return { ...writing(rest), prompt: typeof prompt === 'string' ? prompt : prompt[0], maxTokens: most ?? 16 };
}

/** @throws Refusal that names the field */
export function parseClassify(body: unknown): Classifying {
  const { model, input, unsure_below: unsureBelow } = parse(classifyBody, body);
  return { model, rows: Array.isArray(input) ? input : [input], unsureBelow: unsureBelow ?? null };
}

type Common = Pick<
  z.infer<typeof completionBody>,
  'model' | 'stream' | 'stream_options' | 'stop' | 'temperature' | 'top_p' | 'seed'
>;

function writing(body: Common): Omit<Writing, 'prompt' | 'maxTokens'> {
  return {
    model: body.model,
    stream: body.stream === true,
    streamUsage: body.stream_options?.include_usage === true,
    stop: body.stop,
    temperature: body.temperature ?? null,
    topP: body.top_p ?? 1,
    // Any whole number is a seed; the runtime's has 32 bits.
    seed: body.seed == null ? null : body.seed >>> 0,
  };
}

function parse<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const field = [...issue.path, ...(unknown === undefined ? [] : [unknown])].map(String).join('.');
  throw unknown === undefined
    ? new Refusal(400, 'invalid_value', { id: 'serving.field', params: { field, problem: issue.message } }, field)
    : new Refusal(400, 'unsupported_parameter', { id: 'serving.unsupported', params: { field } }, field);
}
