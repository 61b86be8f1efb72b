/** Students that are quantised otherwise than BitNet b1.58's: trained in every stage, resumed bit for bit, exported and evaluated. */
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { activationsOf, plainQuantisation, type QuantisationSettings } from '../../contract/quantisation.ts';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { modelFolder, type ModelFolder } from '../../experiment/folder.ts';
import { loadParameters, modelConfiguration } from '../../models/open-model.ts';
import { makeTinyBase, makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { baselineConfiguration, earlierStudent, studentConfiguration } from '../models-of-recipe.ts';
import { assertExportable } from '../export/export-targets.ts';
import { runJob } from '../run-job.ts';

let root: string;
let plain: Recipe;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-quantised-'));
  const tiny = await makeTinyExperiment(root, { baseline: false, pretrain: null });
  const teacher = join(root, 'deep');
  await makeTinyBase(teacher, {
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
  });
  const optimiser = { learningRate: 3e-3, ternaryRate: 0.05, batchSize: 16, microBatchTokens: 256 };
  plain = recipeSchema.parse({
    ...tiny,
    teacher,
    finetune: null,
    reconstruct: { steps: 6, window: 2, optimiser },
    distil: { ...tiny.distil, steps: 6 },
    checkpoint: { steps: 3, minutes: 5 },
    exports: [{ type: 'q2_0' }],
  });
});
afterAll(() => rmSync(root, { recursive: true }));

/** Events of a job; `until`: it is paused after that step. */
async function run(kind: JobKind, recipe: Recipe, folder: string, until = Infinity): Promise<JobEvent[]> {
  const found: JobEvent[] = [];
  const reached = () => found.some((event) => event.type === 'metrics' && event.step >= until);
  const job = runJob(
    { kind, recipe, folder },
    { emit: (event) => found.push(event), stopRequested: () => (reached() ? 'pause' : null) },
  );
  if (until === Infinity) await job;
  else await expect(job).rejects.toMatchObject({ request: 'pause', step: until });
  return found;
}
function digest(folder: string, model: ModelFolder): string {
  const path = join(modelFolder(folder, model), 'model.safetensors');
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

describe('a student that is quantised otherwise', () => {
  it.each<[string, QuantisationSettings]>([
    [
      'absmedian, a scale for each row, two of four',
      { weights: { scale: 'absmedian', group: 'row', sparsity: '2:4' } },
    ],
    ['a scale for each 64 columns', { weights: { group: 64 } }],
    ['six of eight', { weights: { sparsity: '6:8' } }],
    ['exactly three of four', { weights: { sparsity: 'exactly-3:4' } }],
    ['learned scales', { weights: { scale: 'learned' } }],
    ['a learned scale for each row', { weights: { scale: 'learned', group: 'row' } }],
    ['what the released code calls AWQ', { weights: { scale: 'row-levels' } }],
    ['what the released code calls GPTQ', { weights: { scale: 'deviation' } }],
    ['turned inputs', { activations: { hadamard: true } }],
    // The switch after step 3 lies before the pause, that after step 5 behind it.
    ['turned inputs of 4 bits from step 4 on', { activations: { hadamard: true, bits: 4, eightBitShare: 0.5 } }],
    ['inputs of 4 bits in the last step', { activations: { bits: 4, eightBitShare: 0.8 } }],
  ])('%s: each stage ends with the same bits when it was paused, and the file answers', async (title, quantisation) => {
    const own = quantisation.activations !== undefined;
    const exact = quantisation.weights?.sparsity === 'exactly-3:4';
    const recipe: Recipe = {
      ...plain,
      quantisation,
      ...(exact && { reconstruct: { ...plain.reconstruct!, soften: 0 } }),
      exports: own
        ? [{ type: 'i2_s', embedding: 'f16' }]
        : exact
          ? [{ type: 't3_4', embedding: 'f16' }]
          : plain.exports,
    };
    const [whole, paused] = [join(root, title), join(root, `${title}, paused`)];
    await run('refine', recipe, whole);
    cpSync(whole, paused, { recursive: true });
    const curves = new Set<string>();
    for (const [kind, model, step] of [
      ['reconstruct', 'reconstructed', 4],
      ['distil', 'student', 4],
    ] as const) {
      for (const event of await run(kind, recipe, whole))
        if (event.type === 'metrics') Object.keys(event.values).forEach((name) => curves.add(name));
      await run(kind, recipe, paused, step);
      await run(kind, recipe, paused);
      expect(digest(paused, model)).toBe(digest(whole, model));
    }
    expect(curves.has('masked-fraction')).toBe(quantisation.weights?.sparsity !== undefined);
    if (own) {
      const before = await modelConfiguration(modelFolder(whole, 'reconstructed'));
      expect(activationsOf(before.quantisation).bits).toBe(8);
    }
    const { quantisation: found } = await modelConfiguration(modelFolder(whole, 'student'));
    expect(found).toEqual((await studentConfiguration(recipe)).quantisation);
    expect(found).not.toEqual(plainQuantisation);
    // It was written, read back, and gives the graph engine's logits in the runtime: an export that fails ends the job.
    await run('export', recipe, whole);
  });

  it('learns the scales of the baseline too, from the mean on', async () => {
    const recipe: Recipe = { ...plain, baseline: true, quantisation: { weights: { scale: 'learned' } } };
    const folder = join(root, 'baseline');
    await run('baseline', recipe, folder);
    const student = await baselineConfiguration(recipe);
    const [before, after] = await Promise.all(
      [recipe.teacher, modelFolder(folder, 'baseline')].map((path) => loadParameters(path, student)),
    );
    const scales = after!.specifications.filter(({ scaleOf }) => scaleOf !== null);
    expect(scales).toHaveLength(7 * student.layers);
    for (const { name, scaleOf } of scales) {
      const weights = before!.view(scaleOf!);
      const mean = weights.reduce((sum, weight) => sum + Math.abs(weight), 0) / weights.length;
      expect(before!.view(name)[0]! / mean).toBeCloseTo(1, 5);
      expect(after!.view(name)[0]! / mean, name).not.toBeCloseTo(1, 5);
    }
  });

  it('computes in Stage 1 what the full-precision model computes, turned', async () => {
    const recipe: Recipe = { ...plain, quantisation: { activations: { hadamard: true } } };
    const folder = join(root, 'turned');
    await run('refine', recipe, folder);
    const student = await earlierStudent(recipe);
    const [before, after] = await Promise.all(
      [recipe.teacher, modelFolder(folder, 'refined')].map((path) => loadParameters(path, student)),
    );
    const dense = await loadParameters(recipe.teacher, { ...student, ternary: false });
    for (const { name, local, ternary } of after!.specifications) {
      if (!ternary) continue;
      expect(after!.view(name), name).toEqual(before!.view(name));
      expect(
        after!.view(name).every((value, at) => value === dense.view(name)[at]),
        name,
      ).toBe(local !== 'o' && local !== 'down');
    }
  });

  it('changes at the switch alone: until then it is the student of 8 bits', async () => {
    const of = async (title: string, activations: QuantisationSettings['activations']): Promise<number[]> => {
      const recipe: Recipe = { ...plain, reconstruct: undefined, quantisation: { activations } };
      await run('refine', recipe, join(root, title));
      const losses = (await run('distil', recipe, join(root, title))).flatMap((event) =>
        event.type === 'metrics' && event.values.loss != null ? [event.values.loss] : [],
      );
      expect(losses).toHaveLength(6);
      return losses;
    };
    const eight = await of('eight', { hadamard: true });
    const four = await of('four', { hadamard: true, bits: 4, eightBitShare: 0.5 });
    expect(four.slice(0, 3)).toEqual(eight.slice(0, 3));
    for (const step of [3, 4, 5]) expect(four[step]).not.toBe(eight[step]);
    const atOnce = await of('at once', { hadamard: true, bits: 4, eightBitShare: 0 });
    expect(atOnce[0]).not.toBe(eight[0]);
  });

  it('trains what it always trained where the recipe says nothing, and says so of its folder', async () => {
    const [before, said] = [join(root, 'plain'), join(root, 'said')];
    const recipe: Recipe = { ...plain, reconstruct: undefined };
    const weights = { scale: 'absmean', group: 'tensor' } as const;
    for (const [folder, of] of [
      [before, recipe],
      [said, { ...recipe, quantisation: { weights } }],
    ] as const) {
      await run('refine', of, folder);
      await run('distil', of, folder);
    }
    expect(digest(said, 'student')).toBe(digest(before, 'student'));
    const config = (folder: string) => readFileSync(join(modelFolder(folder, 'student'), 'config.json'), 'utf8');
    expect(config(said)).toBe(config(before));
    expect(config(before)).not.toContain('quantisation');
  });

  it('is refused, by name, where its rows are no whole number of groups', async () => {
    const of = (weights: QuantisationSettings['weights']) =>
      studentConfiguration({ ...plain, quantisation: { weights } });
    await expect(of({ group: 128 })).rejects.toMatchObject({
      id: 'quantisation.group',
      params: { projection: 'q', columns: 64, group: 128 },
    });
    await expect(of({ scale: 'deviation', group: 'row' })).rejects.toMatchObject({
      id: 'quantisation.formula',
      params: { scale: 'deviation', own: 'tensor' },
    });
    await expect(of({ scale: 'row-levels', group: 64 })).rejects.toMatchObject({ params: { own: 'row' } });
    await expect(of({ scale: 'absmedian', sparsity: 'exactly-3:4' })).rejects.toMatchObject({
      id: 'quantisation.exact-scale',
      params: { scale: 'absmedian' },
    });
    await expect(of({ scale: 'learned', sparsity: '6:8' })).rejects.toMatchObject({
      id: 'quantisation.learned-sparsity',
      params: { sparsity: '6:8' },
    });
    // The reconstruction of this recipe softens.
    await expect(of({ sparsity: 'exactly-3:4' })).rejects.toMatchObject({ id: 'recipe.exact-soften' });
    await expect(assertExportable({ ...plain, exports: [{ type: 't3_4', embedding: 'f16' }] })).rejects.toMatchObject({
      id: 'export.three-of-four',
    });
    const turned: QuantisationSettings = { activations: { hadamard: true } };
    const gptq = { method: 'gptq', rows: 8, damping: 0.01 } as const;
    await expect(studentConfiguration({ ...plain, quantisation: turned, calibrate: gptq })).rejects.toMatchObject({
      id: 'recipe.calibrate-hadamard',
    });
    await expect(
      assertExportable({ ...plain, quantisation: turned, exports: [{ type: 'hf', embedding: 'f16' }] }),
    ).rejects.toMatchObject({ id: 'export.activations', params: { hadamard: true, bits: 8 } });
    const odd = join(root, 'odd');
    await makeTinyBase(odd, {
      hidden_size: 64,
      intermediate_size: 90,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    });
    const recipe: Recipe = { ...plain, teacher: odd, quantisation: { weights: { sparsity: '2:4' } } };
    await expect(studentConfiguration(recipe)).rejects.toMatchObject({
      id: 'quantisation.sparsity',
      params: { projection: 'down', columns: 90, sparsity: '2:4' },
    });
    await expect(studentConfiguration({ ...plain, teacher: odd, quantisation: turned })).rejects.toMatchObject({
      id: 'quantisation.hadamard',
      params: { projection: 'down', columns: 90, block: 2 },
    });
  });
});
