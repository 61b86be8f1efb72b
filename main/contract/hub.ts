/** Models of the Hugging Face Hub: found, described before they are downloaded, and on their way. Sizes are bytes. */
import { z } from 'zod';
import { serialisedError } from './jobs.ts';
import { teacherCard } from './queries.ts';
import { resourceEstimate } from './resources.ts';

/** `model_type` of the families that can be trained, as the Hub tags them. */
export const hubFamilies = [
  'llama',
  'qwen2',
  'qwen3',
  'gemma3_text',
  'gemma3',
  'mistral',
  'smollm3',
  'phi3',
  'granite',
  'olmo2',
] as const;

/** `owner/name`, or a bare name of the Hub's oldest models. */
export const hubModelId = z
  .string()
  .max(200)
  .regex(/^(?:[A-Za-z0-9][\w.-]{0,95}\/)?[A-Za-z0-9][\w.-]{0,95}$/, 'A model is named owner/name.')
  .refine((id) => !id.includes('..') && !id.includes('--'), 'A model is named owner/name.');

export const hubSearchRequest = z.object({
  text: z.string().max(200).default(''),
  /** Largest number of parameters; models whose size the Hub does not tell are then left out. */
  largest: z.number().positive().nullable().default(null),
});
export type HubSearchRequest = z.infer<typeof hubSearchRequest>;

/** A row of the search: what the Hub tells without looking into the model. */
export const hubModel = z.object({
  id: z.string(),
  family: z.enum(hubFamilies),
  /** Null where the Hub does not tell. */
  parameters: z.number().nullable(),
  downloads: z.number(),
  licence: z.string().nullable(),
  /** Its owner wants a licence accepted on the model's page first. */
  gated: z.boolean(),
});
export type HubModel = z.infer<typeof hubModel>;

export const hubFile = z.object({
  /** A plain name beside config.json: no folders, no leading dot. */
  name: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,250}$/),
  bytes: z.number().int().min(0),
  /** SHA-256 of a large file (LFS), or Git's blob hash of a small one: what the bytes are checked against. */
  digest: z.object({ kind: z.enum(['sha256', 'git-blob']), hex: z.string().regex(/^[0-9a-f]{40,64}$/) }),
});
export type HubFile = z.infer<typeof hubFile>;

/** What a download would fetch: one revision, and only the files that a teacher needs. */
export const hubPlan = z.object({
  id: z.string(),
  /** Commit. */
  revision: z.string().regex(/^[0-9a-f]{40}$/),
  files: z.array(hubFile).min(1),
  bytes: z.number(),
});
export type HubPlan = z.infer<typeof hubPlan>;

export const hubModelCard = z.object({
  plan: hubPlan,
  gated: z.boolean(),
  /** As it will be once it is downloaded; `folder` is where it would lie. */
  teacher: teacherCard,
  /** The download against the free disk of the workspace. */
  disk: resourceEstimate,
  /** Memory for a training with the default settings against what is free now. */
  memory: resourceEstimate,
});
export type HubModelCard = z.infer<typeof hubModelCard>;

export const hubDownload = z.object({
  id: z.string(),
  /** `interrupted`: what is there stays and the download can go on from it. */
  state: z.enum(['running', 'checking', 'interrupted', 'done']),
  doneBytes: z.number(),
  totalBytes: z.number(),
  file: z.string().nullable(),
  /** Over the last seconds; null until it is known. */
  bytesPerSecond: z.number().nullable(),
  error: serialisedError.nullable(),
  /** Where the model lies, once it is done. */
  folder: z.string().nullable(),
});
export type HubDownload = z.infer<typeof hubDownload>;

export const hubAccess = z.object({
  /** Where the Hub is: HF_ENDPOINT, or the public one. */
  endpoint: z.string(),
  /** `memory`: typed in here and forgotten when the workbench ends; `environment`: HF_TOKEN. */
  token: z.enum(['none', 'memory', 'environment']),
});
export type HubAccess = z.infer<typeof hubAccess>;
