import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEvent } from '../../contract/jobs.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { readLayerCut } from '../../experiment/cut.ts';
import { modelFolder } from '../../experiment/folder.ts';
import { readExportList } from '../../experiment/results.ts';
import { saveModelFolder } from '../../models/model-folder.ts';
import { loadParameters, modelConfiguration } from '../../models/open-model.ts';
import { makeTinyBase, makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { onGraphEngine } from '../evaluate/evaluate.ts';
import { forecastRecipe } from '../inspect/estimate.ts';
import { jobsOf } from '../inspect/cost.ts';
import { runJob } from '../run-job.ts';
import { importancePasses, layersOfTurns } from './layer-importance.ts';

let root: string;
let base: string;
let recipe: Recipe;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-cut-'));
  recipe = await makeTinyExperiment(root, { pretrain: null, cut: { layers: 3 } });
  base = join(root, 'five-layers');
  await makeTinyBase(base, {
    hidden_size: 128,
    num_hidden_layers: 5,
    num_attention_heads: 4,
    num_key_value_heads: 2,
  });
  // Layers 1 and 3 add nothing to what goes through them.
  const configuration = await modelConfiguration(base);
  const parameters = await loadParameters(base, configuration);
  for (const { name, layer, local } of parameters.specifications)
    if ((layer === 1 || layer === 3) && (local === 'o' || local === 'down')) parameters.view(name).fill(0);
  await saveModelFolder(base, base, configuration, parameters);
  recipe = { ...recipe, teacher: base, finetune: null, distil: { ...recipe.distil, studentInit: 'teacher', steps: 4 } };
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const context = (events: JobEvent[] = []) => ({
  emit: (event: JobEvent) => void events.push(event),
  stopRequested: () => null,
});

describe('a student that is cut from its teacher', () => {
  it('loses its layers in three turns, which the estimate counts', () => {
    expect(layersOfTurns(10)).toEqual([4, 3, 3]);
    expect(layersOfTurns(2)).toEqual([1, 1]);
    expect(importancePasses(30, 20)).toBe(1 + 30 + 26 + 23);
  });

  it('loses the layers that change nothing, and is the same model without them', async () => {
    const folder = join(root, 'experiment');
    const events: JobEvent[] = [];
    const result = await runJob({ kind: 'cut', recipe, folder }, context(events));
    expect(result).toEqual({ kept: [0, 2, 4], layers: 5 });
    const { left } = readLayerCut(folder)!;
    expect(left.map(({ layer }) => layer).toSorted()).toEqual([1, 3]);
    for (const { divergence } of left) expect(divergence).toBe(0);
    const progress = events.flatMap((event) => (event.type === 'progress' && event.unit === 'passes' ? [event] : []));
    expect(progress.at(-1)).toMatchObject({ done: importancePasses(5, 3), total: importancePasses(5, 3) });

    const cut = modelFolder(folder, 'cut');
    expect(JSON.parse(readFileSync(join(cut, 'config.json'), 'utf8'))).toMatchObject({ num_hidden_layers: 3 });
    const ids = Int32Array.from([5, 300, 77, 1200, 9, 41]);
    const logitsOf = (path: string) =>
      onGraphEngine(path, 1, async (network, head) => {
        const { hidden } = await network.forward({ ids, batch: 1, length: ids.length });
        return head.logits(hidden, Int32Array.from(ids.keys()));
      });
    expect(await logitsOf(cut)).toEqual(await logitsOf(base));
  });

  it('goes through every stage, as does the baseline of its size, to verified files', async () => {
    const folder = join(root, 'experiment');
    for (const kind of jobsOf(recipe)) if (kind !== 'four-bit') await runJob({ kind, recipe, folder }, context());
    for (const name of ['refined', 'student', 'baseline'] as const)
      expect((await modelConfiguration(modelFolder(folder, name))).layers, name).toBe(3);
    const files = readExportList(folder)!;
    expect(files.filter(({ model }) => model === 'bitdistill')).toHaveLength(2);
    expect(files.every(({ verified }) => verified)).toBe(true);
  });

  it('is estimated beside the whole one: smaller file, less memory', async () => {
    const { cut, ...whole } = recipe;
    expect(cut).toBeDefined();
    const [less, more] = await Promise.all([forecastRecipe(recipe), forecastRecipe(whole)]);
    const bytesOf = (forecast: typeof less, id: string) =>
      forecast.stages
        .filter(({ kind }) => kind === 'distil' || kind === 'export')
        .flatMap(({ disk }) => disk)
        .filter((term) => term.id === id)
        .reduce((sum, { bytes }) => sum + bytes, 0);
    for (const id of ['model', 'export']) expect(bytesOf(less, id)).toBeLessThan(bytesOf(more, id));
    expect(less.stages.find(({ kind }) => kind === 'cut')!.work).toBeGreaterThan(0);
  });

  it('is refused where nothing would be left out, before anything is written', async () => {
    const folder = join(root, 'refused');
    const all = { ...recipe, cut: { layers: 5 } };
    await expect(runJob({ kind: 'cut', recipe: all, folder }, context())).rejects.toMatchObject({
      code: 'bad-input',
      id: 'recipe.nothing-to-cut',
    });
    await expect(forecastRecipe(all)).rejects.toMatchObject({ id: 'recipe.nothing-to-cut' });
    expect(existsSync(modelFolder(folder, 'cut'))).toBe(false);
  });
});
