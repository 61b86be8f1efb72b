/** Paths as people type them. */
import { resolve } from 'node:path';
import { homeFolder } from '../../contract/data-folder.ts';
import { withHome } from '../../contract/local-path.ts';
import { modelFolder } from '../../basics/hub-cache.ts';

/** Absolute, with `~` for the home folder. */
export function absolutePath(path: string): string {
  return resolve(withHome(path, homeFolder()));
}

/** The folder of a model, which may be given by its place in the cache of Hugging Face. @throws TritsmithError as `modelFolder` */
export function modelPath(path: string): string {
  return modelFolder(absolutePath(path));
}
