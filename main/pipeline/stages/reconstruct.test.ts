/** The job that reconstructs windows of layers, on a model of three layers. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { sumOf } from '../../contract/quantities.ts';
import { hiddenStatesFolder, modelFolder } from '../../experiment/folder.ts';
import { openCheckpoint } from '../../formats/safetensors/index.ts';
import { makeTinyBase, makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { forecastRecipe } from '../inspect/estimate.ts';
import { runJob } from '../run-job.ts';

let root: string;
let recipe: Recipe;
let whole: string;
let events: JobEvent[];
let result: unknown;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-reconstruct-'));
  const tiny = await makeTinyExperiment(root, { baseline: false, pretrain: null });
  const teacher = join(root, 'deep');
  await makeTinyBase(teacher, {
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 3,
    num_attention_heads: 2,
    num_key_value_heads: 1,
  });
  const optimiser = { learningRate: 3e-3, ternaryRate: 0.05, batchSize: 16, microBatchTokens: 256 };
  recipe = recipeSchema.parse({
    ...tiny,
    teacher,
    finetune: null,
    distil: { ...tiny.distil, steps: 2 },
    reconstruct: { steps: 30, window: 2, optimiser },
    checkpoint: { steps: 7, minutes: 5 },
  });
  whole = join(root, 'whole');
  await run('refine', whole);
  events = await run('reconstruct', whole);
});
afterAll(() => rmSync(root, { recursive: true }));

/** Events of a job; `until`: ends it as a pause would after that step. */
async function run(kind: JobKind, folder: string, of = recipe, until = Infinity): Promise<JobEvent[]> {
  const found: JobEvent[] = [];
  const reached = () => found.some((event) => event.type === 'metrics' && event.step >= until);
  const job = runJob(
    { kind, recipe: of, folder },
    { emit: (event) => found.push(event), stopRequested: () => (reached() ? 'pause' : null) },
  );
  if (until === Infinity) result = await job;
  else await expect(job).rejects.toMatchObject({ request: 'pause', step: until });
  return found;
}
const weights = (folder: string): string =>
  createHash('sha256')
    .update(readFileSync(join(modelFolder(folder, 'reconstructed'), 'model.safetensors')))
    .digest('hex');
function curve(name: string, of = events): [number, number][] {
  return of.flatMap((event) =>
    event.type === 'metrics' && event.values[name] !== undefined ? [[event.step, event.values[name]]] : [],
  );
}
function refined(name: string): string {
  const folder = join(root, name);
  cpSync(modelFolder(whole, 'refined'), modelFolder(folder, 'refined'), { recursive: true });
  return folder;
}

describe('window reconstruction', () => {
  it('brings each window nearer to the full-precision layers, and ends with hard codes', async () => {
    expect(curve('loss').map(([step]) => step)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    const errors = curve('window-error');
    expect(errors.map(([step]) => step)).toEqual([30, 60]);
    expect(result).toEqual({ steps: 60, windows: 2, error: errors[1]![1] });
    // The same windows with codes that never leave their bins and norms that hardly move: what Stage 1 alone gives.
    const still = refined('still');
    const optimiser = { ...recipe.reconstruct!.optimiser, learningRate: 1e-9, ternaryRate: 1e-9 };
    const untrained = curve(
      'window-error',
      await run('reconstruct', still, { ...recipe, reconstruct: { ...recipe.reconstruct!, steps: 1, optimiser } }),
    );
    expect(errors[0]![1]).toBeLessThan(0.8 * untrained[0]![1]);
    expect(errors[1]![1]).toBeLessThan(0.8 * untrained[1]![1]);
  });

  it('trains the layers alone, leaves no hidden states, and Stage 3 begins with its model', async () => {
    const [before, after] = await Promise.all(
      (['refined', 'reconstructed'] as const).map((name) => openCheckpoint(modelFolder(whole, name))),
    );
    const same: string[] = [];
    for (const name of before!.names()) {
      const size = before!.shape(name).reduce((product, dimension) => product * dimension, 1);
      const [one, other] = [new Float32Array(size), new Float32Array(size)];
      await before!.readFloat32(name, one);
      await after!.readFloat32(name, other);
      if (one.every((value, at) => value === other[at])) same.push(name);
    }
    await before!.close();
    await after!.close();
    expect(same.toSorted()).toEqual(['lm_head.weight', 'model.embed_tokens.weight', 'model.norm.weight']);
    expect(existsSync(hiddenStatesFolder(whole))).toBe(false);
    const folder = join(root, 'without-refined');
    cpSync(modelFolder(whole, 'reconstructed'), modelFolder(folder, 'reconstructed'), { recursive: true });
    await run('distil', folder);
  });

  it.each([4, 29, 30, 34])('paused after step %i and resumed, ends with the same bits', async (step) => {
    const folder = refined(`paused-${step}`);
    await run('reconstruct', folder, recipe, step);
    expect(existsSync(modelFolder(folder, 'reconstructed'))).toBe(false);
    const resumed = await run('reconstruct', folder);
    const progress = resumed.filter((event) => event.type === 'progress');
    expect(progress.at(-1)).toMatchObject({ done: 60, total: 60, resumed: step });
    expect(curve('loss', resumed)).toHaveLength(60 - step);
    expect(weights(folder)).toBe(weights(whole));
  });

  it('reads texts without labels beside the rows', async () => {
    const folder = refined('texts');
    const corpus = join(root, 'texts.txt');
    writeFileSync(corpus, 'My parcel has not come and nobody answers.\n'.repeat(60));
    const settings = { ...recipe.reconstruct!, steps: undefined, epochs: 1, corpus, tokens: 320, sequenceLength: 32 };
    await run('reconstruct', folder, { ...recipe, reconstruct: settings });
    // 80 rows of the task and 10 of the texts, 16 at a time.
    expect(result).toMatchObject({ steps: 2 * 6, windows: 2 });
    const forecast = await forecastRecipe({ ...recipe, reconstruct: settings });
    expect(forecast.stages.find(({ kind }) => kind === 'reconstruct')!.steps).toBe(12);
  });

  it('is forecast with the memory of a window and the files of hidden states', async () => {
    const { stages } = await forecastRecipe(recipe);
    const [own, distil] = (['reconstruct', 'distil'] as const).map((kind) =>
      stages.find((each) => each.kind === kind)!,
    );
    expect(own!.steps).toBe(60);
    const trained = (stage: typeof own) => sumOf(stage!.memory.filter(({ id }) => id === 'trained'));
    expect(trained(own)).toBeLessThan(trained(distil!));
    const states = own!.disk.find(({ id }) => id === 'hidden-states')!;
    expect(states.params).toMatchObject({ files: 3, width: 64 });
    expect(own!.travel).toBeCloseTo(0.05 * 15, 0);
  });
});
