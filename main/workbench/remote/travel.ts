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

/** A recipe with paths that lead down from one folder, and what is to be in that folder. */
export interface Luggage {
  readonly recipe: Recipe;
  readonly files: readonly Pick<TravellingFile, 'source' | 'path'>[];
}

/** Files of a model's folder that training reads; others (checkpoints of other programs, pictures) stay. */
const modelSuffixes = ['.safetensors', '.json', '.model', '.jinja'];

/** Finds every file that the recipe names, and gives it its place. Nothing is read. @throws TritsmithError where a file cannot be found or named */
export function pack(recipe: Recipe): Luggage {
  const files: { source: string; path: string }[] = [];
  const places = new Map<string, string>();
  const place = (source: string, model: boolean): string => {
    const known = places.get(source);
    if (known !== undefined) return known;
    const path = `${places.size}/${model ? nameOfModel(source) : lastPart(source)}`;
    places.set(source, path);
    if (statSync(source).isFile()) files.push({ source, path });
    else
      for (const way of model ? modelFiles(source) : allFiles(source))
        files.push({ source: join(source, way), path: `${path}/${way}` });
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
  const odd = files.find(({ path }) => !wayDown.safeParse(path).success || path.includes('\ufffd'));
  if (odd !== undefined) throw new TritsmithError('bad-input', 'remote.odd-file', { path: odd.source });
  return { recipe: travelling, files };
}

/** Reads each file once, for its SHA-256. @throws TritsmithError */
export async function weigh({ files }: Luggage): Promise<TravellingFile[]> {
  const weighed: TravellingFile[] = [];
  for (const file of files)
    try {
      weighed.push({ ...file, bytes: statSync(file.source).size, sha256: await fileSha256(file.source) });
    } catch (thrown) {
      throw TritsmithError.from(thrown);
    }
  return weighed;
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
    .flatMap((entry) => {
      const path = way === '' ? entry : `${way}/${entry}`;
      const full = join(folder, path);
      if (lstatSync(full).isDirectory()) return allFiles(folder, path);
      return statSync(full, { throwIfNoEntry: false })?.isFile() === true ? [path] : [];
    });
}
