import { describe, expect, it } from 'vitest';
import { sharedData } from '../main/testing/shared-data.ts';
import { modelConfiguration } from '../main/models/open-model.ts';
import { exportCapabilities } from '../main/pipeline/export/capabilities.ts';
import { makeRecipe } from '../main/pipeline/inspect/presets.ts';
import { studentConfiguration } from '../main/pipeline/models-of-recipe.ts';
import { parseRecipe } from '../main/workbench/experiments/recipe-inputs.ts';
import { variants } from './quantisers/variants.ts';
import { changesOf, taskInputs } from './real/task-inputs.ts';

const teacher = sharedData('models', 'story-656k');

describe('the ways to make a student ternary that are compared', () => {
  it('have names of their own and differ in what they ask for', () => {
    expect(new Set(variants.map(({ name }) => name)).size).toBe(variants.length);
    expect(new Set(variants.map(({ change }) => JSON.stringify(change))).size).toBe(variants.length);
  });

  it.each(variants)('$name: a recipe that a run accepts, and a file that holds its student', async ({ change }) => {
    const made = await makeRecipe({
      preset: 'quick',
      teacher,
      task: taskInputs('sst2'),
      changes: changesOf(['task.limit=100', 'distil.gamma=balanced']),
    });
    expect(made).toMatchObject({ task: { limit: 100 }, distil: { gamma: 'balanced' } });
    const student = await studentConfiguration(parseRecipe({ ...made, ...change, exports: [] }));
    const possible = exportCapabilities(student, await modelConfiguration(teacher)).filter(
      ({ type, obstacle }) => obstacle === null && ['i2_s', 'q2_0', 'tq2_0'].includes(type),
    );
    expect(possible.length).toBeGreaterThan(0);
  });
});
