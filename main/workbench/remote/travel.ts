/** What of a recipe's files goes to another computer: which files, under which names, and the recipe that names them there. */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { companionFiles } from '../../contract/companion-files.ts';
import { lastPart, modelName, modelsPrefix } from '../../contract/local-path.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { type PlacedFile, wayDown } from '../../contract/remote.ts';
import { fileSha256 } from '../../basics/file-digest.ts';
import { withPaths } from '../experiments/recipe-inputs.ts';

/** A file of this computer, and what it will be there. */
export interface TravellingFile extends PlacedFile {
  readonly source: string;
}

export interface Luggage {
  /** Paths in it lead down from the folder that `files` make. */
  readonly recipe: Recipe;
  readonly files: readonly TravellingFile[];
}

/** Files of a model's folder that training reads; others (checkpoints of other programs, pictures) stay. */
const modelSuffixes = ['.safetensors', '.json', '.model', '.jinja'];

/**
 * Reads every file that the recipe names once, for its SHA-256.
 * @param onFile hears of each file before it is read
 * @throws TritsmithError where a file cannot be read or named
 */
export async function pack(recipe: Recipe, onFile: (path: string) => void = () => undefined): Promise<Luggage> {
  const found: { source: string; path: string }[] = [];
  const places = new Map<string, string>();
  const place = (source: string, model: boolean): string => {
    const known = places.get(source);
    if (known !== undefined) return known;
    const path = `${places.size}/${model ? nameOfModel(source) : lastPart(source)}`;
    places.set(source, path);
    if (statSync(source).isFile()) found.push({ source, path });
    else
      for (const way of model ? modelFiles(source) : allFiles(source))
        found.push({ source: join(source, way), path: `${path}/${way}` });
    return path;
  };
  let travelling: Recipe;
  try {
    travelling = withPaths(
      recipe,
      (path) => place(path, false),
      (path) => place(path, true),
    );
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
  const files: TravellingFile[] = [];
  for (const { source, path } of found) {
    if (!wayDown.safeParse(path).success || path.includes('\ufffd'))
      throw new TritsmithError('bad-input', 'remote.odd-file', { path: source });
    onFile(source);
    try {
      files.push({ source, path, bytes: statSync(source).size, sha256: await fileSha256(source) });
    } catch (thrown) {
      throw TritsmithError.from(thrown);
    }
  }
  return { recipe: travelling, files };
}

/** The last part of its path; for one of the cache of Hugging Face as many parts as tell its name. */
function nameOfModel(source: string): string {
  const parts = source.split(/[\\/]/).filter((part) => part !== '');
  return modelName(source).includes('/') && parts.at(-3)?.startsWith(modelsPrefix) === true
    ? parts.slice(-3).join('/')
    : lastPart(source);
}

function modelFiles(folder: string): string[] {
  return readdirSync(folder)
    .toSorted()
    .filter(
      (name) =>
        (companionFiles.includes(name) || modelSuffixes.includes(extname(name).toLowerCase())) &&
        statSync(join(folder, name), { throwIfNoEntry: false })?.isFile() === true,
    );
}

/** Of a folder with texts: all but hidden ones. Links to files count as files; links to folders are left, since they may lead round. */
function allFiles(folder: string, way = ''): string[] {
  return readdirSync(join(folder, way))
    .toSorted()
    .filter((name) => !basename(name).startsWith('.'))
    .flatMap((name) => {
      const path = way === '' ? name : `${way}/${name}`;
      const full = join(folder, path);
      if (lstatSync(full).isDirectory()) return allFiles(folder, path);
      return statSync(full, { throwIfNoEntry: false })?.isFile() === true ? [path] : [];
    });
}
