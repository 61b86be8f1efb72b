/** Where two recipes differ, field by field. */
import type { Recipe } from '../contract/recipe.ts';

export interface RecipeDifference {
  /** Path of the field, such as `distil.optimiser.learningRate`. */
  readonly path: string;
  readonly a: unknown;
  readonly b: unknown;
}

/** Sorted by path; the name is no difference. A field that one of them lacks is undefined there. */
export function recipeDifferences(a: Recipe, b: Recipe): RecipeDifference[] {
  const [left, right] = [leaves({ ...a, name: '' }), leaves({ ...b, name: '' })];
  return [...new Set([...left.keys(), ...right.keys()])]
    .sort()
    .filter((path) => JSON.stringify(left.get(path)) !== JSON.stringify(right.get(path)))
    .map((path) => ({ path, a: left.get(path), b: right.get(path) }));
}

function leaves(value: unknown, path = '', found = new Map<string, unknown>()): Map<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value))
    for (const [key, inner] of Object.entries(value)) leaves(inner, path === '' ? key : `${path}.${key}`, found);
  else found.set(path, value);
  return found;
}
