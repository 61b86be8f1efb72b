/**
 * The cache of Hugging Face's own programs, as it lies on disk: `models--owner--name/{refs,snapshots/<commit>,blobs}`, in which the files of a
 * snapshot are links to blobs (huggingface_hub, "Understand caching").
 */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { homeFolder } from '../contract/data-folder.ts';
import { TritsmithError } from '../contract/errors.ts';
import { modelsPrefix } from '../contract/local-path.ts';
import { isWithin } from './path-within.ts';

const commit = /^[0-9a-f]{40}$/;
const mostRefBytes = 200;

/** Where the cache lies: HF_HUB_CACHE, `hub` in HF_HOME, or `~/.cache/huggingface/hub`; null where there is none. */
export function hubCacheFolder(environment: NodeJS.ProcessEnv = process.env): string | null {
  const named = environment['HF_HUB_CACHE'] || environment['HUGGINGFACE_HUB_CACHE'];
  const home =
    environment['HF_HOME'] || join(environment['XDG_CACHE_HOME'] || join(homeFolder(), '.cache'), 'huggingface');
  const folder = resolve(named || join(home, 'hub'));
  return existsSync(folder) ? folder : null;
}

export interface CachedModel {
  /** `owner/name`. */
  readonly id: string;
  /** Its folder in the cache, `models--owner--name`. */
  readonly folder: string;
}

/** Models of the cache in `folder` that have a snapshot of a model or an adapter, by name; what can't be read is left out. */
export function cachedModels(folder: string | null): CachedModel[] {
  if (folder === null) return [];
  return namesIn(folder)
    .filter((name) => name.startsWith(modelsPrefix))
    .map((name) => ({ id: name.slice(modelsPrefix.length).replace('--', '/'), folder: join(folder, name) }))
    .filter((model) => isModelFolder(model.folder));
}

/** Whether `folder` is what a teacher can be read from: a model's folder or an adapter's, or the place of one in the cache. */
export function isModelFolder(folder: string): boolean {
  try {
    const place = modelFolder(folder);
    return ['config.json', 'adapter_config.json'].some((name) => existsSync(join(place, name)));
  } catch {
    return false;
  }
}

/**
 * The folder in which the files of a model lie: the snapshot for a model of the cache (that of `main`, or the only one), else `path` itself.
 * Links in a snapshot may lead to the blobs of the same model and nowhere else.
 * @throws TritsmithError `not-found` for a model of the cache that was not fetched to its end, `bad-input` for a link that leads elsewhere
 */
export function modelFolder(path: string): string {
  const folder = isCached(path) ? snapshotOf(path) : path;
  const model = dirname(dirname(folder));
  if (basename(dirname(folder)) === 'snapshots' && isCached(model)) assertOwnBlobs(folder, model);
  return folder;
}

const isCached = (path: string): boolean =>
  basename(path).startsWith(modelsPrefix) && existsSync(join(path, 'snapshots'));

function snapshotOf(model: string): string {
  const snapshots = namesIn(join(model, 'snapshots'));
  const wanted = mainCommit(model);
  const [only, ...others] = snapshots;
  const found = wanted !== null && snapshots.includes(wanted) ? wanted : others.length === 0 ? only : undefined;
  if (found === undefined)
    throw new TritsmithError('not-found', 'hub-cache.no-snapshot', { folder: model, snapshots: snapshots.length });
  return join(model, 'snapshots', found);
}

function mainCommit(model: string): string | null {
  const ref = join(model, 'refs', 'main');
  try {
    const { size } = statSync(ref);
    const text = size > mostRefBytes ? '' : readFileSync(ref, 'utf8').trim();
    return commit.test(text) ? text : null;
  } catch {
    return null;
  }
}

function assertOwnBlobs(folder: string, model: string): void {
  const blobs = join(realpathSync(model), 'blobs');
  const own = realpathSync(folder);
  for (const name of namesIn(folder)) {
    let place: string;
    try {
      place = realpathSync(join(folder, name));
    } catch {
      throw new TritsmithError('not-found', 'hub-cache.lacks-blob', { folder, name });
    }
    if (!isWithin(blobs, place) && !isWithin(own, place))
      throw new TritsmithError('bad-input', 'hub-cache.link-leads-out', { folder, name });
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
