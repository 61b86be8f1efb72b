/** What the Hub tells about models: a search among those that can be trained, and the files that one of them needs. */
import { z } from 'zod';
import { companionFiles } from '../contract/companion-files.ts';
import { TritsmithError } from '../contract/errors.ts';
import {
  ggufFamilies,
  hubFamilies,
  type HubFile,
  hubFileId,
  type HubGguf,
  type HubModel,
  hubModelId,
  hubPartsOf,
  type HubPlan,
  type HubSearchRequest,
} from '../contract/hub.ts';
import type { HubClient } from './hub-client.ts';

const rowsPerFamily = 60;
const mostRows = 40;
const mostIndexBytes = 64 * 1024 * 1024;
const mostFileBytes = 1e12;
const readable = new Set(['BF16', 'F16', 'F32', 'F64']);
const weightIndex = 'model.safetensors.index.json';
/** What a teacher's folder needs or is described by, besides its weights. */
const companions = [
  'config.json',
  'generation_config.json',
  ...companionFiles,
  'README.md',
  'LICENSE.md',
  'LICENSE.txt',
];
/** What comes with a GGUF file. */
const papers = ['README.md', 'LICENSE', 'LICENSE.md', 'LICENSE.txt'];
/** A shard lies beside config.json: no folders, no leading dot, nothing that a file system could read as more than a name. */
const shardName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,250}\.safetensors$/;

/** A whole model: no part of a split one, no projector of images. */
const wholeFile = /^(?!mmproj)[A-Za-z0-9_][A-Za-z0-9._-]{0,190}(?<!-\d{5}-of-\d{5})\.gguf$/i;
const pickledName = /^pytorch_model[\w-]*\.bin$/;

const gated = z.union([z.boolean(), z.string()]).nullish();
const ggufFacts = z
  .looseObject({
    architecture: z.string().max(60).nullish(),
    total: z.number().nullish(),
    context_length: z.number().nullish(),
  })
  .nullish();
const listed = z.looseObject({
  id: z.string(),
  downloads: z.number().nullish(),
  tags: z.array(z.string()).nullish(),
  gated,
  library_name: z.string().nullish(),
  safetensors: z
    .looseObject({ parameters: z.record(z.string(), z.number()).nullish(), total: z.number().nullish() })
    .nullish(),
  gguf: ggufFacts,
});
type Listed = z.infer<typeof listed>;

const described = z.looseObject({
  id: z.string(),
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  gated,
  tags: z.array(z.string()).nullish(),
  gguf: ggufFacts,
  safetensors: z.looseObject({ parameters: z.record(z.string(), z.number()).nullish() }).nullish(),
  siblings: z
    .array(
      z.looseObject({
        rfilename: z.string(),
        size: z.int().min(0).max(mostFileBytes).nullish(),
        blobId: z.string().nullish(),
        lfs: z.looseObject({ sha256: z.string().nullish(), size: z.int().nullish() }).nullish(),
      }),
    )
    .max(20_000),
});

/**
 * Trainable models whose name fits `text`, most downloaded first: families that are supported, as unquantised safetensors or as GGUF files.
 * @throws TritsmithError as `HubClient.open` does
 */
export async function searchModels(client: HubClient, { text, largest }: HubSearchRequest): Promise<HubModel[]> {
  const [files, ...families] = await Promise.all([
    listModels(client, text, ['gguf']),
    ...hubFamilies.map((family) => listModels(client, text, [family, 'safetensors'])),
  ]);
  const inFolders = families.flatMap((rows, index) =>
    rows.filter(isTrainable).map((row) => modelOf(row, hubFamilies[index]!, 'folder', row.safetensors?.total)),
  );
  const inFiles = files.flatMap((row) => {
    const architecture = row.gguf?.architecture ?? '';
    const family = Object.hasOwn(ggufFamilies, architecture) ? ggufFamilies[architecture] : undefined;
    return family === undefined ? [] : [modelOf(row, family, 'gguf', row.gguf?.total)];
  });
  const seen = new Set<string>();
  return [...inFolders, ...inFiles]
    .filter(({ id }) => !seen.has(id) && seen.add(id))
    .filter(({ parameters }) => largest === null || (parameters !== null && parameters <= largest))
    .sort((a, b) => b.downloads - a.downloads)
    .slice(0, mostRows);
}

/** Rows of a search among models that write text and carry all the tags. */
async function listModels(client: HubClient, text: string, tags: readonly string[]): Promise<Listed[]> {
  const query = new URLSearchParams([
    ['search', text.trim()],
    ...tags.map((tag): [string, string] => ['filter', tag]),
    ['pipeline_tag', 'text-generation'],
    ['sort', 'downloads'],
    ['direction', '-1'],
    ['limit', String(rowsPerFamily)],
    ...['downloads', 'tags', 'gated', 'library_name', 'safetensors', 'gguf'].map((field): [string, string] => [
      'expand[]',
      field,
    ]),
  ]);
  const rows = answerOf(z.array(z.unknown()), await client.json(`/api/models?${query.toString()}`));
  return rows.flatMap((row) => {
    const parsed = listed.safeParse(row);
    return parsed.success ? [parsed.data] : [];
  });
}

function modelOf(
  { id, downloads, tags, gated: asks }: Listed,
  family: HubModel['family'],
  format: HubModel['format'],
  parameters: number | null | undefined,
): HubModel {
  return {
    id,
    family,
    format,
    parameters: parameters ?? null,
    downloads: downloads ?? 0,
    licence: licenceOf(tags),
    gated: isGated(asks),
  };
}

export interface HubDescription {
  readonly plan: HubPlan;
  readonly gated: boolean;
  readonly licence: string | null;
  /** Text of config.json; empty for a GGUF file. */
  readonly configuration: string;
  /** Null for a model folder. */
  readonly gguf: HubGguf | null;
  /** Types of its tensors; empty where the Hub does not tell. */
  readonly weightTypes: readonly string[];
  /** The model from which it was made, by its owner's word. */
  readonly original: string | null;
}

/**
 * Which revision and files a download of `id` would fetch. Where a repository holds GGUF files alone and `id` names none of them, one is
 * proposed: the smallest that loses next to nothing (Q8_0 or 16 bits), else the largest.
 * @throws TritsmithError as `HubClient.open` does; `unsupported` for a repository with neither safetensors nor GGUF files
 */
export async function describeModel(client: HubClient, id: string, signal?: AbortSignal): Promise<HubDescription> {
  const { repository, file } = hubPartsOf(id);
  const answer = answerOf(described, await client.json(`/api/models/${pathOf(repository)}?blobs=true`, signal));
  const siblings = new Map(answer.siblings.map((each) => [each.rfilename, each]));
  const original = originalOf(answer.tags);
  const common = { gated: isGated(answer.gated), licence: licenceOf(answer.tags), original };
  const planOf = (as: string, names: readonly string[]): HubPlan => {
    const files = names.map((name) => fileOf(id, name, siblings.get(name)));
    return { id: as, revision: answer.sha, files, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
  };
  const offered = answer.siblings
    .filter(({ rfilename }) => wholeFile.test(rfilename))
    .map((each) => ({ name: each.rfilename, bytes: each.lfs?.size ?? each.size ?? 0 }))
    .sort((a, b) => a.bytes - b.bytes);
  const hasFolder = siblings.has('config.json') && [...siblings.keys()].some((name) => name.endsWith('.safetensors'));
  if (file !== null || (!hasFolder && offered.length > 0)) {
    const chosen = file ?? (offered.find(({ name }) => /q8_0|f16/i.test(name)) ?? offered.at(-1)!).name;
    const { architecture = null, total = null, context_length: contextLength = null } = answer.gguf ?? {};
    return {
      ...common,
      plan: planOf(hubFileId(repository, chosen), [chosen, ...papers.filter((name) => siblings.has(name))]),
      configuration: '',
      weightTypes: [],
      gguf: { architecture, parameters: total, contextLength, files: offered },
    };
  }
  const names = [...companions.filter((name) => siblings.has(name))];
  if (siblings.has('adapter_config.json') && !siblings.has('model.safetensors') && !siblings.has(weightIndex))
    throw new TritsmithError('unsupported', 'hub.adapter', { id, original });
  if (!siblings.has('config.json')) throw new TritsmithError('unsupported', 'hub.no-configuration', { id });
  if (siblings.has(weightIndex)) {
    const text = await client.text(resolvePath(id, answer.sha, weightIndex), mostIndexBytes, signal);
    names.push(weightIndex, ...shardsOf(id, text));
  } else {
    const pickled = [...siblings.keys()].find((name) => pickledName.test(name));
    if (pickled !== undefined && !siblings.has('model.safetensors'))
      throw new TritsmithError('unsupported', 'hub.pickled', { id, name: pickled });
    names.push('model.safetensors');
  }
  const plan = planOf(id, names);
  const configuration = await client.text(resolvePath(id, answer.sha, 'config.json'), 4 * 1024 * 1024, signal);
  return {
    ...common,
    plan,
    configuration,
    gguf: null,
    weightTypes: typesOf(answer.safetensors?.parameters),
  };
}

type Sibling = z.infer<typeof described>['siblings'][number];

/** @throws TritsmithError `unsupported` where the Hub does not list it, or without size and checksum */
function fileOf(id: string, name: string, found: Sibling | undefined): HubFile {
  const sha256 = found?.lfs?.sha256 ?? null;
  const hex = sha256 ?? found?.blobId ?? '';
  const bytes = found?.lfs?.size ?? found?.size ?? null;
  if (bytes === null || !/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(hex))
    throw new TritsmithError('unsupported', 'hub.unusable-file', { id, name, listed: found !== undefined });
  return { name, bytes, digest: { kind: sha256 === null ? 'git-blob' : 'sha256', hex } };
}

/** Path of a file at a revision of the repository of `id`, beginning with `/`. */
export function resolvePath(id: string, revision: string, name: string): string {
  return `/${pathOf(hubPartsOf(id).repository)}/resolve/${revision}/${encodeURIComponent(name)}`;
}

function pathOf(id: string): string {
  return id.split('/').map(encodeURIComponent).join('/');
}

function shardsOf(id: string, text: string): string[] {
  let map: Record<string, unknown>;
  try {
    map = z.looseObject({ weight_map: z.record(z.string(), z.string()) }).parse(JSON.parse(text)).weight_map;
  } catch {
    throw new TritsmithError('unsupported', 'hub.unreadable-index', { id, index: weightIndex });
  }
  const shards = [...new Set(Object.values(map))].map(String).sort();
  const odd = shards.find((name) => !shardName.test(name) || name.includes('..'));
  if (odd === undefined && shards.length > 0) return shards;
  throw new TritsmithError('unsupported', 'hub.odd-weight-file', { id, name: (odd ?? '').slice(0, 100) });
}

/** Whole precision, and no adapter: quantised weights cannot be fine-tuned here. */
function isTrainable({ id, tags, library_name, safetensors }: Listed): boolean {
  if (library_name === 'peft' || library_name === 'mlx' || library_name === 'gguf') return false;
  const words = [...(tags ?? []), ...id.toLowerCase().split(/[/_.-]/)];
  if (
    words.some((word) =>
      /^(?:gptq|awq|fp8|int[48]|[248]-?bit|bnb|gguf|mlx|exl[23]|eetq|hqq|compressed-tensors|bitnet)$/.test(word),
    )
  )
    return false;
  return typesOf(safetensors?.parameters).every((type) => readable.has(type));
}

/** Types of the tensors, without those of small tables: less than a hundredth of all values. */
function typesOf(parameters: Readonly<Record<string, number>> | null | undefined): string[] {
  const kinds = Object.entries(parameters ?? {});
  const whole = kinds.reduce((sum, [, count]) => sum + count, 0);
  return kinds.filter(([, count]) => count > whole * 0.01).map(([type]) => type);
}

/** `base_model:owner/name`, or `base_model:quantized:owner/name` with the way in which it was made. */
function originalOf(tags: readonly string[] | null | undefined): string | null {
  for (const tag of tags ?? []) {
    const name = /^base_model:(?:[a-z]+:)?([^:]+)$/.exec(tag)?.[1];
    if (hubModelId.safeParse(name).success) return name ?? null;
  }
  return null;
}

function licenceOf(tags: readonly string[] | null | undefined): string | null {
  return tags?.find((tag) => tag.startsWith('license:'))?.slice('license:'.length) ?? null;
}

function isGated(value: z.infer<typeof gated>): boolean {
  return value !== undefined && value !== null && value !== false && value !== 'false';
}

function answerOf<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new TritsmithError('unreachable', 'hub.not-understood', {
    problems: parsed.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.')}: ${message}`),
  });
}
