/** Which jobs a recipe needs, in order, and what each costs relative to the others. */
import type { TaskSize } from '../../contract/estimates.ts';
import type { JobKind } from '../../contract/jobs.ts';
import type { PlannedJob } from '../../contract/queries.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { costsOf, type RecipeShapes } from './cost.ts';
import { unreadTask } from './task-size.ts';

/** What a job costs besides its operations (a process, loading, saving, measuring), as a share of all of them. */
const besides: Partial<Record<JobKind, number>> = {
  evaluate: 0.02,
  export: 0.005,
  'measure-teacher': 0.01,
  'measure-baseline': 0.01,
  'measure-student': 0.01,
  'four-bit': 0.01,
};
const leastShare = 0.002;

/** @param size of the task, where it has been read */
export function planJobs(recipe: Recipe, shapes: RecipeShapes, size: TaskSize = unreadTask(recipe)): PlannedJob[] {
  const costs = costsOf(recipe, shapes, size);
  const total = costs.reduce((sum, { work }) => sum + work, 0);
  return costs.map(({ kind, work }) => ({
    kind,
    weight: (1000 * work) / total + 1000 * (besides[kind] ?? leastShare),
  }));
}
