/** What the Hub tells about models: a search among those that can be trained, and the files that one of them needs. */
import { z } from 'zod';
import { companionFiles } from '../contract/companion-files.ts';
import { TritsmithError } from '../contract/errors.ts';
import {
  hubFamilies,
  type HubFile,
  type HubModel,
  hubModelId,
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
/** A shard lies beside config.json: no folders, no leading dot, nothing that a file system could read as more than a name. */
const shardName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,250}\.safetensors$/;

const pickledName = /^pytorch_model[\w-]*\.bin$/;

const gated = z.union([z.boolean(), z.string()]).nullish();
const listed = z.looseObject({
  id: z.string(),
  downloads: z.number().nullish(),
  tags: z.array(z.string()).nullish(),
  gated,
  library_name: z.string().nullish(),
  safetensors: z
    .looseObject({ parameters: z.record(z.string(), z.number()).nullish(), total: z.number().nullish() })
    .nullish(),
});
type Listed = z.infer<typeof listed>;

const described = z.looseObject({
  id: z.string(),
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  gated,
  tags: z.array(z.string()).nullish(),
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
 * Trainable models whose name fits `text`, most downloaded first: families that are supported, safetensors, unquantised.
 * @throws TritsmithError as `HubClient.open` does
 */
export async function searchModels(client: HubClient, { text, largest }: HubSearchRequest): Promise<HubModel[]> {
  const families = await Promise.all(
    hubFamilies.map(async (family) => {
      const query = new URLSearchParams([
        ['search', text.trim()],
        ['filter', family],
        ['filter', 'safetensors'],
        ['pipeline_tag', 'text-generation'],
        ['sort', 'downloads'],
        ['direction', '-1'],
        ['limit', String(rowsPerFamily)],
        ...['downloads', 'tags', 'gated', 'library_name', 'safetensors'].map((field): [string, string] => [
          'expand[]',
          field,
        ]),
      ]);
      const rows = answerOf(z.array(z.unknown()), await client.json(`/api/models?${query.toString()}`));
      return rows.flatMap((row): HubModel[] => {
        const parsed = listed.safeParse(row);
        if (!parsed.success || !isTrainable(parsed.data)) return [];
        const { id, downloads, tags, safetensors } = parsed.data;
        return [
          {
            id,
            family,
            parameters: safetensors?.total ?? null,
            downloads: downloads ?? 0,
            licence: licenceOf(tags),
            gated: isGated(parsed.data.gated),
          },
        ];
      });
    }),
  );
  const seen = new Set<string>();
  return families
    .flat()
    .filter(({ id }) => !seen.has(id) && seen.add(id))
    .filter(({ parameters }) => largest === null || (parameters !== null && parameters <= largest))
    .sort((a, b) => b.downloads - a.downloads)
    .slice(0, mostRows);
}

export interface HubDescription {
  readonly plan: HubPlan;
  readonly gated: boolean;
  readonly licence: string | null;
  /** Text of config.json. */
  readonly configuration: string;
  /** Types of its tensors; empty where the Hub does not tell. */
  readonly weightTypes: readonly string[];
  /** The model from which it was made, by its owner's word. */
  readonly original: string | null;
}

/**
 * Which revision and files a download of `id` would fetch.
 * @throws TritsmithError as `HubClient.open` does; `unsupported` for a model without safetensors
 */
export async function describeModel(client: HubClient, id: string, signal?: AbortSignal): Promise<HubDescription> {
  const answer = answerOf(described, await client.json(`/api/models/${pathOf(id)}?blobs=true`, signal));
  const siblings = new Map(answer.siblings.map((each) => [each.rfilename, each]));
  const names = [...companions.filter((name) => siblings.has(name))];
  const original = originalOf(answer.tags);
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
  const files = names.map((name): HubFile => {
    const found = siblings.get(name);
    const sha256 = found?.lfs?.sha256 ?? null;
    const hex = sha256 ?? found?.blobId ?? '';
    const bytes = found?.lfs?.size ?? found?.size ?? null;
    if (bytes === null || !/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(hex))
      throw new TritsmithError('unsupported', 'hub.unusable-file', { id, name, listed: found !== undefined });
    return { name, bytes, digest: { kind: sha256 === null ? 'git-blob' : 'sha256', hex } };
  });
  const configuration = await client.text(resolvePath(id, answer.sha, 'config.json'), 4 * 1024 * 1024, signal);
  return {
    plan: { id, revision: answer.sha, files, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) },
    gated: isGated(answer.gated),
    licence: licenceOf(answer.tags),
    configuration,
    weightTypes: typesOf(answer.safetensors?.parameters),
    original,
  };
}

/** Path of a file at a revision, beginning with `/`. */
export function resolvePath(id: string, revision: string, name: string): string {
  return `/${pathOf(id)}/resolve/${revision}/${encodeURIComponent(name)}`;
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
