/** The best step is kept instead of the last: what chooses it, what it leaves, and that a resumed run chooses the same. */
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { jobResults } from '../../contract/job-results.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { checkpointFolder, modelFolder } from '../../experiment/folder.ts';
import { restoreBest } from '../../training/checkpoint.ts';
import { loadParameters, modelConfiguration } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import { stepChoice } from '../evaluate/step-choice.ts';
import { taskBatches } from '../task/task-batches.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { forecastRecipe } from '../inspect/estimate.ts';
import { runJob } from '../run-job.ts';

let root: string;
let recipe: Recipe;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-best-'));
  const tiny = await makeTinyExperiment(root, { baseline: false, pretrain: null });
  // So high a constant rate that accuracy goes up and down.
  const optimiser = { ...tiny.finetune!.optimiser, learningRate: 0.02, schedule: 'constant' as const };
  recipe = {
    ...tiny,
    finetune: { epochs: 1, steps: 12, optimiser },
    keepBest: { measure: 'cross-entropy', rows: 256, everySteps: 2, patience: 0 },
  };
});
afterAll(() => rmSync(root, { recursive: true }));

/** Runs a job; `until`: ends it as a pause would after that step. */
async function run(of: Recipe, folder: string, until = Infinity, kind: JobKind = 'finetune') {
  const events: JobEvent[] = [];
  const reached = () => events.some((event) => event.type === 'metrics' && event.step >= until);
  const job = runJob(
    { kind, recipe: of, folder },
    { emit: (event) => events.push(event), stopRequested: () => (reached() ? 'pause' : null) },
  );
  if (until !== Infinity) {
    await expect(job).rejects.toMatchObject({ request: 'pause' });
    return { events, result: null };
  }
  return { events, result: jobResults.finetune.parse(await job) };
}
function curve(events: JobEvent[], name: string): [number, number][] {
  return events.flatMap((event) =>
    event.type === 'metrics' && event.values[name] !== undefined ? [[event.step, event.values[name]]] : [],
  );
}
const weights = (folder: string): string =>
  createHash('sha256')
    .update(readFileSync(join(modelFolder(folder, 'teacher'), 'model.safetensors')))
    .digest('hex');

describe('the best step', () => {
  it('is the one that a run of that many steps would end with', async () => {
    const folder = join(root, 'best');
    const { events, result } = await run(recipe, folder);
    const looks = curve(events, 'choice');
    expect(looks.map(([step]) => step)).toEqual([2, 4, 6, 8, 10, 12]);
    const least = looks.reduce((best, look) => (look[1] < best[1] ? look : best));
    expect(result).toEqual({
      steps: 12,
      kept: { step: least[0], measure: 'cross-entropy', value: least[1], rows: 16 },
    });
    expect(curve(events, 'kept-step').at(-1)![1]).toBe(least[0]);
    // A constant rate: the first steps of a longer run are those of a shorter one.
    const short: Recipe = { ...recipe, finetune: { ...recipe.finetune!, steps: least[0] } };
    const shorter = join(root, 'shorter');
    await run(short, shorter);
    expect(least[0]).toBeLessThan(12);
    expect(weights(folder)).toBe(weights(shorter));
  });

  it('is chosen on training rows that no step sees, and never on the evaluation rows', async () => {
    const folder = join(root, 'apart');
    const { result } = await run(recipe, folder);
    expect(result!.kept!.rows).toBe(16);
    // 80 training rows without the 16 make 8 steps of 8 rows an epoch.
    const epoch: Recipe = { ...recipe, finetune: { ...recipe.finetune!, steps: undefined } };
    expect((await run(epoch, join(root, 'epoch'))).result!.steps).toBe(8);
    const { stages } = await forecastRecipe(epoch);
    expect(stages.find(({ kind }) => kind === 'finetune')!.steps).toBe(8);
    const empty = { ...recipe, task: { ...recipe.task, dev: recipe.task.train } };
    expect((await run(empty, join(root, 'other-dev'))).result!.kept).toEqual(result!.kept);
  });

  it.each(['accuracy', 'macro-f1'] as const)('can be chosen by %s', async (measure) => {
    const { result, events } = await run(
      { ...recipe, keepBest: { ...recipe.keepBest!, measure } },
      join(root, measure),
    );
    const looks = curve(events, 'choice');
    const most = Math.max(...looks.map(([, value]) => value));
    // The first of equal ones.
    expect(result!.kept).toMatchObject({ measure, value: most, step: looks.find(([, value]) => value === most)![0] });
  });

  it('ends the stage early when looks find nothing better for long enough', async () => {
    const patient: Recipe = {
      ...recipe,
      finetune: { ...recipe.finetune!, steps: 40 },
      keepBest: { ...recipe.keepBest!, patience: 2 },
    };
    const folder = join(root, 'patient');
    const { result, events } = await run(patient, folder);
    const { step } = result!.kept!;
    expect(result!.steps).toBe(step + 4);
    expect(curve(events, 'loss')).toHaveLength(step + 4);
    // What it left tells a later session that it has ended.
    rmSync(modelFolder(folder, 'teacher'), { recursive: true });
    const again = await run(patient, folder);
    expect(curve(again.events, 'loss')).toEqual([]);
    expect(again.result).toEqual(result);
  });

  it.each([1, 2, 5, 8, 11])('is the same in a run that is paused after step %i and resumed', async (step) => {
    const folder = join(root, `paused-${step}`);
    await run(recipe, folder, step);
    const { result } = await run(recipe, folder);
    expect(result).toEqual((await run(recipe, join(root, 'best'))).result);
    expect(weights(folder)).toBe(weights(join(root, 'best')));
  });

  it('is found again where the newest checkpoint is damaged', async () => {
    const folder = join(root, 'damaged');
    await run(recipe, folder, 9);
    const checkpoints = checkpointFolder(folder, 'finetune');
    const newest = readdirSync(checkpoints)
      .filter((name) => /^step-.*json$/.test(name))
      .sort()
      .at(-1)!;
    rmSync(join(checkpoints, newest));
    const { result } = await run(recipe, folder);
    expect(result!.kept).toEqual((await run(recipe, join(root, 'best'))).result!.kept);
    expect(weights(folder)).toBe(weights(join(root, 'best')));
  });

  it('leaves its parameters beside the checkpoints, and no others', async () => {
    const folder = join(root, 'best');
    const checkpoints = checkpointFolder(folder, 'finetune');
    const { kept } = (await run(recipe, folder)).result!;
    const path = modelFolder(folder, 'teacher');
    const configuration = await modelConfiguration(path);
    const [saved, beside] = [await loadParameters(path, configuration), await loadParameters(path, configuration)];
    beside.values.fill(0);
    await restoreBest(checkpoints, kept!.step, beside);
    expect(beside.values).toEqual(saved.values);
    expect(readdirSync(checkpoints).filter((name) => name.startsWith('best-')).length).toBeLessThanOrEqual(2);
  });

  it('of a student is looked at with hard codes, also while they are annealed', async () => {
    const folder = join(root, 'student');
    cpSync(join(root, 'best'), folder, { recursive: true });
    const own: Recipe = { ...recipe, distil: { ...recipe.distil, steps: 6, anneal: 1 } };
    const context = { emit: () => undefined, stopRequested: () => null };
    await runJob({ kind: 'refine', recipe: own, folder }, context);
    const { kept } = (await run(own, folder, Infinity, 'distil')).result!;
    // What was saved, with the ternary codes that an export would write, gives the figure that chose it.
    const path = modelFolder(folder, 'student');
    const configuration = await modelConfiguration(path);
    const network = await Network.create(configuration, await loadParameters(path, configuration), {
      threads: 1,
      mode: 'inference',
    });
    const { task, choosing, close } = await taskBatches({ kind: 'distil', recipe: own, folder }, own.distil, context);
    const choice = stepChoice(own, task, choosing)!;
    expect((await choice.look(network)).values.choice).toBeCloseTo(kept!.value, 5);
    await choice.release();
    await network.release();
    await close();
  });
});
