/** Fields of a recipe by their path, such as `distil.optimiser.learningRate`. */
import type { Recipe } from '../../main/contract/recipe.ts';

export function fieldOf(recipe: Recipe, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], recipe);
}

/** Null takes the field away; one of a stage that the recipe skips stays away. */
export function setField(recipe: Recipe, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  const parent = keys.length === 0 ? recipe : fieldOf(recipe, keys.join('.'));
  if (parent === null || typeof parent !== 'object') return;
  const target = parent as Record<string, unknown>;
  if (value === null) Reflect.deleteProperty(target, last);
  else target[last] = value;
}
