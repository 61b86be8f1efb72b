/** The files that a recipe names: made absolute, and looked for before anything is started. */
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';

/** Checks `value` against the schema; the error names each wrong field. */
export function parseRecipe(value: unknown): Recipe {
  const parsed = recipeSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'recipe'}: ${issue.message}`);
  throw new TritsmithError('bad-input', 'The recipe is not valid.', {
    reason: fields.join('; '),
    remedy: 'Mend the fields that are named. "tritsmith run --help" shows how to make a recipe from flags.',
  });
}

/** The recipe with every path absolute; relative ones are seen from `base`. */
export function withAbsolutePaths(recipe: Recipe, base: string): Recipe {
  const absolute = (path: string): string => (isAbsolute(path) ? path : resolve(base, path));
  return {
    ...recipe,
    teacher: absolute(recipe.teacher),
    ...(recipe.studentBase === undefined ? {} : { studentBase: absolute(recipe.studentBase) }),
    task: {
      ...recipe.task,
      train: absolute(recipe.task.train),
      ...(recipe.task.dev === undefined ? {} : { dev: absolute(recipe.task.dev) }),
    },
    pretrain: recipe.pretrain === null ? null : { ...recipe.pretrain, corpus: absolute(recipe.pretrain.corpus) },
  };
}

/** Throws `not-found`, naming every input that is missing or unreadable, before anything is created. */
export function assertInputsExist(recipe: Recipe): void {
  const wanted: { what: string; path: string; folder?: boolean; inside?: string }[] = [
    { what: 'teacher', path: recipe.teacher, folder: true, inside: 'config.json' },
    ...(recipe.studentBase === undefined
      ? []
      : [{ what: 'student base', path: recipe.studentBase, folder: true, inside: 'config.json' }]),
    { what: 'training rows', path: recipe.task.train },
    ...(recipe.task.dev === undefined ? [] : [{ what: 'evaluation rows', path: recipe.task.dev }]),
    ...(recipe.pretrain === null ? [] : [{ what: 'corpus', path: recipe.pretrain.corpus }]),
  ];
  const problems = wanted.map(problemOf).filter((problem) => problem !== null);
  if (problems.length === 0) return;
  throw new TritsmithError('not-found', 'The recipe names inputs that cannot be used.', {
    reason: problems.join('; '),
    remedy: 'Correct the paths in the recipe. Relative paths are seen from the folder of the recipe file.',
  });
}

function problemOf(input: { what: string; path: string; folder?: boolean; inside?: string }): string | null {
  try {
    accessSync(input.path, constants.R_OK);
    if (input.folder === true && !statSync(input.path).isDirectory())
      return `${input.what}: ${input.path} is not a folder`;
    if (input.inside !== undefined) accessSync(join(input.path, input.inside), constants.R_OK);
    return null;
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException;
    return `${input.what}: ${path ?? input.path} ${code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? 'unknown'})`}`;
  }
}
