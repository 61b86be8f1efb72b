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
  'bitnet',
] as const;

/** Families of GGUF files that can be teachers, by `general.architecture`. */
export const ggufFamilies: Readonly<Record<string, (typeof hubFamilies)[number]>> = {
  llama: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma3: 'gemma3_text',
  granite: 'granite',
  smollm3: 'smollm3',
  olmo2: 'olmo2',
  phi3: 'phi3',
  'bitnet-b1.58': 'bitnet',
  'bitnet-25': 'bitnet',
  bitnet: 'bitnet',
};

/** `owner/name`, or a bare name of the Hub's oldest models; `owner/name/file.gguf` names one file of a repository of GGUF files. */
export const hubModelId = z
  .string()
  .max(400)
  .regex(
    /^(?:(?:[A-Za-z0-9][\w.-]{0,95}\/)?[A-Za-z0-9][\w.-]{0,95}|[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9_][A-Za-z0-9._-]{0,190}\.gguf)$/,
    'A model is named owner/name, a GGUF file owner/name/file.gguf.',
  )
  .refine((id) => !id.includes('..') && !id.includes('--'), 'A model is named owner/name.');

/** Repository and file of a `hubModelId`; `file` is null where it names a model folder. */
export function hubPartsOf(id: string): { repository: string; file: string | null } {
  const [owner, name, file] = id.split('/');
  return file === undefined ? { repository: id, file: null } : { repository: `${owner!}/${name!}`, file };
}

/** The inverse: the id of a file of a repository. */
export function hubFileId(repository: string, file: string): string {
  return `${repository}/${file}`;
}

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
  /** `gguf`: the repository holds GGUF files, one of which is to be chosen. */
  format: z.enum(['folder', 'gguf']),
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

/** A repository of GGUF files: what the Hub tells of its model, and the files to choose from, the one in the plan among them. */
export const hubGguf = z.object({
  architecture: z.string().nullable(),
  parameters: z.number().nullable(),
  contextLength: z.number().nullable(),
  files: z.array(z.object({ name: z.string(), bytes: z.number() })).min(1),
});
export type HubGguf = z.infer<typeof hubGguf>;

export const hubModelCard = z.object({
  plan: hubPlan,
  gguf: hubGguf.nullable(),
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

/** `unusable`: the environment names one that is none, or of another kind; who asks the Hub is told. `host`: with its port. */
export const proxyInUse = z.object({
  from: z.enum(['nowhere', 'environment', 'setting', 'unusable']),
  host: z.string(),
});
export type ProxyInUse = z.infer<typeof proxyInUse>;

export const hubAccess = z.object({
  /** Where the Hub is: HF_ENDPOINT, or the public one. */
  endpoint: z.string(),
  /** `memory`: typed in here and forgotten when the workbench ends; `environment`: HF_TOKEN. */
  token: z.enum(['none', 'memory', 'environment']),
  proxy: proxyInUse,
});
export type HubAccess = z.infer<typeof hubAccess>;
