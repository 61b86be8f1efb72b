/** The files that a recipe names: made absolute, and looked for before anything is started. */
import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { homeFolder } from '../../contract/data-folder.ts';
import { TritsmithError } from '../../contract/errors.ts';
import { withHome } from '../../contract/local-path.ts';
import type { InputProblem } from '../../contract/messages/en/workbench.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { modelFolder } from '../../basics/hub-cache.ts';

/** Checks `value` against the schema; the error names each wrong field. */
export function parseRecipe(value: unknown): Recipe {
  const parsed = recipeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'recipe'}: ${issue.message}`);
  throw new TritsmithError('bad-input', 'recipe.invalid', { problems: fields });
}

/** The recipe with every path absolute; relative ones are seen from `base`. */
export function withAbsolutePaths(recipe: Recipe, base: string): Recipe {
  const absolute = (path: string): string => resolve(base, withHome(path, homeFolder()));
  return withPaths(recipe, absolute, (path) => modelFolder(absolute(path)));
}

/** The recipe with every path put through `file`, those of models through `model`. */
export function withPaths(recipe: Recipe, file: (path: string) => string, model = file): Recipe {
  return {
    ...recipe,
    teacher: model(recipe.teacher),
    ...(recipe.studentBase === undefined ? {} : { studentBase: model(recipe.studentBase) }),
    task: {
      ...recipe.task,
      train: file(recipe.task.train),
      ...(recipe.task.dev === undefined ? {} : { dev: file(recipe.task.dev) }),
    },
    ...(recipe.moreRows === undefined ? {} : { moreRows: { ...recipe.moreRows, file: file(recipe.moreRows.file) } }),
    ...(recipe.reconstruct?.corpus === undefined
      ? {}
      : { reconstruct: { ...recipe.reconstruct, corpus: file(recipe.reconstruct.corpus) } }),
    pretrain: recipe.pretrain === null ? null : { ...recipe.pretrain, corpus: file(recipe.pretrain.corpus) },
  };
}

interface Wanted {
  readonly what: InputProblem['what'];
  readonly path: string;
  /** A folder with config.json, or a GGUF file. */
  readonly model?: boolean;
}

/** Throws `not-found`, naming every input that is missing or unreadable, before anything is created. */
export function assertInputsExist(recipe: Recipe): void {
  const wanted: Wanted[] = [
    { what: 'teacher', path: recipe.teacher, model: true },
    ...(recipe.studentBase === undefined
      ? []
      : [{ what: 'student-base', path: recipe.studentBase, model: true } as const]),
    { what: 'training-rows', path: recipe.task.train },
    ...(recipe.task.dev === undefined ? [] : [{ what: 'evaluation-rows', path: recipe.task.dev } as const]),
    ...(recipe.moreRows === undefined ? [] : [{ what: 'more-rows', path: recipe.moreRows.file } as const]),
    ...(recipe.reconstruct?.corpus === undefined ? [] : [{ what: 'corpus', path: recipe.reconstruct.corpus } as const]),
    ...(recipe.pretrain === null ? [] : [{ what: 'corpus', path: recipe.pretrain.corpus } as const]),
  ];
  const problems = wanted.map(problemOf).filter((problem) => problem !== null);
  if (problems.length === 0) return;
  throw new TritsmithError('not-found', 'recipe.inputs', { problems });
}

function problemOf({ what, path, model }: Wanted): InputProblem | null {
  try {
    accessSync(path, constants.R_OK);
    if (model !== true) return null;
    if (statSync(path).isDirectory()) accessSync(join(path, 'config.json'), constants.R_OK);
    else if (!path.toLowerCase().endsWith('.gguf')) return { what, path, problem: 'no-model' };
    return null;
  } catch (error) {
    const { code, path: place } = error as NodeJS.ErrnoException;
    return { what, path: place ?? path, problem: code === 'ENOENT' ? 'missing' : 'unreadable', code };
  }
}
