import { expect, it } from 'vitest';
import { sampleRecipe } from '../jobs/fixtures/sample-recipe.ts';
import { recipeDifferences } from './recipe-differences.ts';

it('recipes differ where their fields do, their names apart', () => {
  const a = sampleRecipe('a');
  expect(recipeDifferences(a, sampleRecipe('b'))).toEqual([]);
  const b = { ...a, pretrain: null, task: { ...a.task, limit: 5 }, distil: { ...a.distil, gamma: 60 } };
  expect(recipeDifferences(a, b)).toEqual([
    { path: 'distil.gamma', a: 'balanced', b: 60 },
    { path: 'task.limit', a: undefined, b: 5 },
  ]);
});
