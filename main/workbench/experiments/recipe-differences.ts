/** Where recipes differ, field by field. */
import type { Recipe } from '../../contract/recipe.ts';

export interface RecipeDifference {
  /** Path of the field, such as `distil.optimiser.learningRate`. */
  readonly path: string;
  /** Its value in each recipe; undefined in one that lacks it. */
  readonly values: readonly unknown[];
}

/** Sorted by path; the name is no difference. */
export function recipeDifferences(recipes: readonly Recipe[]): RecipeDifference[] {
  const tables = recipes.map((recipe) => leaves({ ...recipe, name: '' }));
  return [...new Set(tables.flatMap((table) => [...table.keys()]))]
    .sort()
    .map((path) => ({ path, values: tables.map((table) => table.get(path)) }))
    .filter(({ values }) => new Set(values.map((value) => JSON.stringify(value))).size > 1);
}

function leaves(value: unknown, path = '', found = new Map<string, unknown>()): Map<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value))
    for (const [key, inner] of Object.entries(value)) leaves(inner, path === '' ? key : `${path}.${key}`, found);
  else found.set(path, value);
  return found;
}
