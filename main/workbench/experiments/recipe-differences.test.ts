import { expect, it } from 'vitest';
import { sampleRecipe } from '../../jobs/fixtures/sample-recipe.ts';
import { recipeDifferences } from './recipe-differences.ts';

it('recipes differ where their fields do, their names apart', () => {
  const a = sampleRecipe('a');
  expect(recipeDifferences([a, sampleRecipe('b'), sampleRecipe('c')])).toEqual([]);
  const b = { ...a, pretrain: null, task: { ...a.task, limit: 5 }, distil: { ...a.distil, gamma: 60 } };
  expect(recipeDifferences([a, b, sampleRecipe('c')])).toEqual([
    { path: 'distil.gamma', values: ['balanced', 60, 'balanced'] },
    { path: 'task.limit', values: [undefined, 5, undefined] },
  ]);
});
