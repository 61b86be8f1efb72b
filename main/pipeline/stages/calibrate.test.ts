/** The job that calibrates layer by layer, on a model of two layers. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobResults } from '../../contract/job-results.ts';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { calibratedLayersFolder, hiddenStatesFolder, modelFolder, type ModelFolder } from '../../experiment/folder.ts';
import { loadParameters } from '../../models/open-model.ts';
import { quantiseMatrix } from '../../models/ternary-weights.ts';
import { makeTinyBase, makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { forecastRecipe } from '../inspect/estimate.ts';
import { makeRecipe } from '../inspect/presets.ts';
import { studentConfiguration } from '../models-of-recipe.ts';
import { runJob } from '../run-job.ts';

let root: string;
let plain: Recipe;
let refined: string;
let result: JobResults['calibrate'];

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-calibrate-'));
  const tiny = await makeTinyExperiment(root, { baseline: false, pretrain: null });
  const teacher = join(root, 'deep');
  await makeTinyBase(teacher, {
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
  });
  plain = recipeSchema.parse({ ...tiny, teacher, finetune: null, distil: { ...tiny.distil, steps: 2 } });
  refined = join(root, 'refined-only');
  await run('refine', plain, refined);
});
afterAll(() => rmSync(root, { recursive: true }));

/** Events of a job; `until`: ends it as a pause would after so many layers. */
async function run(kind: JobKind, recipe: Recipe, folder: string, until = Infinity): Promise<JobEvent[]> {
  const found: JobEvent[] = [];
  const reached = () => found.some((event) => event.type === 'metrics' && event.step >= until);
  const job = runJob(
    { kind, recipe, folder },
    { emit: (event) => found.push(event), stopRequested: () => (reached() ? 'pause' : null) },
  );
  if (until < Infinity) await expect(job).rejects.toMatchObject({ request: 'pause', step: until });
  else {
    const ended = await job;
    if (kind === 'calibrate') result = ended as JobResults['calibrate'];
  }
  return found;
}
const weights = (folder: string, model: ModelFolder): string =>
  createHash('sha256')
    .update(readFileSync(join(modelFolder(folder, model), 'model.safetensors')))
    .digest('hex');
function begun(name: string): string {
  const folder = join(root, name);
  cpSync(modelFolder(refined, 'refined'), modelFolder(folder, 'refined'), { recursive: true });
  return folder;
}
const calibrated = (calibrate: object, more: Partial<Recipe> = {}): Recipe =>
  recipeSchema.parse({ ...plain, ...more, calibrate });

describe.each(['gptq', 'awq'] as const)('%s as a start', (method) => {
  it('knows what each layer loses, leaves nothing behind, and Stage 3 begins with its model', async () => {
    const folder = begun(`${method}, whole`);
    const recipe = calibrated({ method, rows: 40 });
    const events = await run('calibrate', recipe, folder);
    const errors = events.flatMap((event) => (event.type === 'metrics' ? [event.values] : []));
    expect(errors).toHaveLength(2);
    // Of these random weights and inputs AWQ has little to gain.
    for (const values of errors)
      expect(values['rounding-error']! / values['rounding-error-absmean']!).toBeLessThan(
        method === 'gptq' ? 0.8 : 1.05,
      );
    const mean = (name: string) => errors.reduce((sum, values) => sum + values[name]!, 0) / 2;
    expect(result.layers).toBe(2);
    expect(result.error).toBeCloseTo(mean('rounding-error'), 12);
    expect(result.before).toBeCloseTo(mean('rounding-error-absmean'), 12);
    expect(existsSync(calibratedLayersFolder(folder))).toBe(false);
    const progress = events.filter((event) => event.type === 'progress');
    expect(progress.at(-1)).toMatchObject({ done: 2, total: 2, unit: 'layers', resumed: 0 });
    rmSync(modelFolder(folder, 'refined'), { recursive: true });
    await run('distil', recipe, folder);
    expect(weights(folder, 'student')).not.toBe(weights(folder, 'calibrated'));
  });

  it('stopped after a layer and resumed, ends with the same bits', async () => {
    const [whole, stopped] = [begun(`${method}, of 16 rows`), begun(`${method}, stopped`)];
    const recipe = calibrated({ method, rows: 16 });
    await run('calibrate', recipe, whole);
    const uninterrupted = result;
    await run('calibrate', recipe, stopped, 1);
    expect(existsSync(modelFolder(stopped, 'calibrated'))).toBe(false);
    const progress = (await run('calibrate', recipe, stopped)).filter((event) => event.type === 'progress');
    expect(progress.at(-1)).toMatchObject({ done: 2, total: 2, resumed: 1 });
    expect(weights(stopped, 'calibrated')).toBe(weights(whole, 'calibrated'));
    expect(result).toEqual(uninterrupted);
    // Layers of other settings are not taken.
    await run('calibrate', calibrated({ method, rows: 17 }), stopped, 1);
    await run('calibrate', recipe, stopped);
    expect(weights(stopped, 'calibrated')).toBe(weights(whole, 'calibrated'));
  });

  it.each(['row', 64] as const)(
    'has a scale for each %s where the recipe says so, before a reconstruction',
    async (group) => {
      const folder = begun(`${method}, ${group}`);
      const optimiser = { learningRate: 3e-3, ternaryRate: 0.05, batchSize: 16, microBatchTokens: 256 };
      const recipe = calibrated(
        { method, rows: 16 },
        {
          quantisation: { weights: { group } },
          reconstruct: recipeSchema.shape.reconstruct.parse({ steps: 2, optimiser }),
        },
      );
      await run('calibrate', recipe, folder);
      expect(result.error).toBeLessThan(result.before);
      await run('reconstruct', recipe, folder);
      expect(existsSync(hiddenStatesFolder(folder))).toBe(false);
      expect(existsSync(modelFolder(folder, 'reconstructed'))).toBe(true);
    },
  );

  it.each(['tensor', 'row'] as const)('gives learned scales their start, one for each %s', async (group) => {
    const [folder, learned] = [begun(`${method}, ${group}, absmean`), begun(`${method}, ${group}, learned`)];
    const recipe = calibrated({ method, rows: 16 }, { quantisation: { weights: { group } } });
    await run('calibrate', recipe, folder);
    const absmean = result;
    const quantisation = { weights: { scale: 'learned', group } } as const;
    await run('calibrate', { ...recipe, quantisation }, learned);
    expect(result).toEqual(absmean);
    const student = await studentConfiguration({ ...recipe, quantisation });
    const parameters = await loadParameters(modelFolder(learned, 'calibrated'), student);
    const before = await loadParameters(modelFolder(folder, 'calibrated'), await studentConfiguration(recipe));
    for (const { name, shape, scaleOf } of parameters.specifications) {
      if (scaleOf === null) {
        expect(parameters.view(name), name).toEqual(before.view(name));
        continue;
      }
      const matrix = parameters.specifications.find((each) => each.name === scaleOf)!;
      const chosen = quantiseMatrix(before.view(scaleOf), matrix.shape, { weights: { scale: 'absmean', group } });
      expect(parameters.view(name), name).toEqual(chosen.scales);
      expect(shape).toEqual([chosen.scales.length]);
    }
  });

  it('is refused, by name, where the student would make other codes of it', async () => {
    for (const weights of [{ scale: 'absmedian' }, { sparsity: '2:4' }] as const)
      await expect(studentConfiguration(calibrated({ method }, { quantisation: { weights } }))).rejects.toMatchObject({
        id: 'recipe.calibrate-quantisation',
        params: { method },
      });
  });

  it('is made by the maker of recipes, and forecast with one layer and its second moments', async () => {
    const { teacher, task } = plain;
    const made = await makeRecipe({ preset: 'quick', teacher, task, calibrate: method });
    expect(made.calibrate).toEqual({ method, rows: 128, damping: 0.01 });
    const { stages } = await forecastRecipe(made);
    const own = stages.find(({ kind }) => kind === 'calibrate')!;
    expect(stages.map(({ kind }) => kind).indexOf('calibrate')).toBe(
      stages.findIndex(({ kind }) => kind === 'refine') + 1,
    );
    expect(own.work).toBeGreaterThan(0);
    expect(own.memory.map(({ id }) => id)).toEqual(['layer', 'moments', 'sessions', 'engine']);
    expect(own.memory.find(({ id }) => id === 'moments')!.params).toMatchObject({ width: 128 });
    expect(own.disk.map(({ id }) => id)).toEqual(['model', 'hidden-states', 'layer-files']);
  });
});
