/** A base that is ternary as it comes (BitNet b1.58): what is said of it, what a preset makes of it, and fine-tuning it on a task. */
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { modelFolder } from '../../experiment/folder.ts';
import { readEvaluation, readExportList } from '../../experiment/results.ts';
import { openGguf } from '../../formats/gguf/index.ts';
import { writeTinyBitNet } from '../../models/fixtures/tiny-bitnet.ts';
import { loadParameters, modelConfiguration } from '../../models/open-model.ts';
import type { ParameterBuffer } from '../../models/parameters.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { convertModel } from '../export/convert-model.ts';
import { jobsOf } from '../inspect/cost.ts';
import { forecastRecipe } from '../inspect/estimate.ts';
import { inspectTeacher } from '../inspect/inspect-teacher.ts';
import { makeRecipe } from '../inspect/presets.ts';
import { studentConfiguration } from '../models-of-recipe.ts';
import { runJob } from '../run-job.ts';

const demo = fileURLToPath(new URL('../../../resources/demo/teacher/', import.meta.url));
const packed = fileURLToPath(new URL('../../models/golden/bitnet/packed/', import.meta.url));

let root: string;
let base: string;
let usual: Recipe;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-continue-'));
  usual = await makeTinyExperiment(root, { baseline: false, pretrain: null });
  base = join(root, 'bitnet');
  await writeTinyBitNet(base);
});
afterAll(() => rmSync(root, { recursive: true }));

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

async function presetRecipe(changes: Record<string, string | number> = {}): Promise<Recipe> {
  return makeRecipe({ preset: 'balanced', teacher: base, task: usual.task, changes });
}

describe('a base that is ternary as it comes', () => {
  it('its card says what it is and what becomes of it', async () => {
    const card = await inspectTeacher(base);
    expect(card).toMatchObject({ supported: true, architecture: 'BitNet b1.58', ternary: 'latent' });
    expect(card.warnings.map(({ id }) => id)).toContain('teacher.ternary');
    const obstacles = Object.fromEntries(card.exports.map(({ type, obstacle }) => [type, obstacle?.id ?? null]));
    expect(obstacles).toMatchObject({ i2_s: null, hf: null, f16: 'export.ternary-as-dense' });
  });

  it('packed weights are refused with the reason before a run', async () => {
    const folder = join(root, 'packed');
    cpSync(packed, folder, { recursive: true });
    writeTokenizer(folder);
    expect(await inspectTeacher(folder)).toMatchObject({
      supported: false,
      ternary: 'codes',
      problem: { id: 'teacher.ternary-codes' },
    });
    await expect(makeRecipe({ preset: 'quick', teacher: folder, task: usual.task })).rejects.toMatchObject({
      id: 'recipe.only-codes',
    });
  });

  it('a preset trains it further: no conversion, rates in units of delta, one model to compare with', async () => {
    const recipe = await presetRecipe();
    expect(recipe).toMatchObject({
      continueTernary: true,
      finetune: null,
      baseline: false,
      distil: { lambda: 0, gamma: 0, optimiser: { ternaryRate: 'auto', weightDecay: 0 } },
    });
    expect(jobsOf(recipe)).toEqual(['distil', 'evaluate', 'export', 'measure-teacher', 'measure-student']);
    expect((await forecastRecipe(recipe)).stages.length).toBeGreaterThan(0);
  });

  it('what does not go together is refused', async () => {
    const recipe = await presetRecipe();
    const unsaid = { ...recipe, continueTernary: undefined };
    await expect(studentConfiguration(recipeSchema.parse(unsaid))).rejects.toMatchObject({
      id: 'recipe.ternary-already',
    });
    await expect(studentConfiguration({ ...recipe, teacher: usual.teacher })).rejects.toMatchObject({
      id: 'recipe.not-ternary',
    });
  });

  it('fine-tunes on a task, ends with the same bits when it was paused, and is exported and measured', async () => {
    const recipe = await presetRecipe({
      'distil.steps': 12,
      'distil.optimiser.batchSize': 16,
      'distil.optimiser.ternaryRate': 0.05,
      'checkpoint.steps': 4,
      threads: 1,
    });
    const asked: Recipe = {
      ...recipe,
      exports: [
        { type: 'i2_s', embedding: 'f16' },
        { type: 'hf', embedding: 'f16' },
      ],
    };
    const [whole, paused] = [join(root, 'whole'), join(root, 'paused')];
    const events = await run('distil', asked, whole);
    const losses = events.flatMap((event) => (event.type === 'metrics' ? [event.values['loss/ce'] ?? NaN] : []));
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    await run('distil', asked, paused, 5);
    await run('distil', asked, paused);
    const student = modelFolder(whole, 'student');
    const weights = (folder: string) => readFileSync(join(modelFolder(folder, 'student'), 'model.safetensors'));
    expect(weights(paused).equals(weights(whole))).toBe(true);
    const before = await loadParameters(base, await modelConfiguration(base));
    const after = await loadParameters(student, await modelConfiguration(student));
    expect(share(before, after)).toBeGreaterThan(0.5);
    for (const kind of ['evaluate', 'export', 'measure-teacher', 'measure-student'] as const)
      await run(kind, asked, whole);
    expect(readEvaluation(whole, 'teacher')).not.toBeNull();
    const files = readExportList(whole)!;
    expect(files.map(({ model, type }) => `${model} ${type}`).sort()).toEqual([
      'bitdistill hf',
      'bitdistill i2_s',
      'teacher i2_s',
    ]);
    const file = files.find(({ model, type }) => model !== 'teacher' && type === 'i2_s')!;
    const { metadata, close } = await openGguf(join(whole, file.path));
    expect(metadata.get('general.architecture')?.value).toBe('bitnet-b1.58');
    expect(metadata.get('bitnet-b1.58.hidden_activation')?.value).toBe('relu2');
    await close();

    // The packed folder and the file are read back as the same model, written on, and refused for training.
    const packedStudent = join(whole, files.find(({ type }) => type === 'hf')!.path);
    const settings = { type: 'q2_0', embedding: 'f16' } as const;
    const bodies = new Set<string>();
    for (const [index, model] of [student, packedStudent, join(whole, file.path)].entries()) {
      const output = join(root, `converted-${String(index)}.gguf`);
      const { architecture, checks } = await convertModel({ model, output, settings });
      expect(architecture).toBe('bitnet-b1.58');
      expect(checks.map(({ id }) => id)).toContain('proof.runtime');
      bodies.add(await matricesOf(output));
    }
    expect(bodies.size).toBe(1);
    expect(await inspectTeacher(packedStudent)).toMatchObject({ supported: false, ternary: 'codes' });
    expect(await inspectTeacher(join(whole, file.path))).toMatchObject({ supported: false, ternary: 'codes' });
    const output = join(root, 'no.gguf');
    await expect(convertModel({ model: usual.teacher, output, settings })).rejects.toMatchObject({
      id: 'convert.not-ternary',
    });
  });
});

/** Weights that moved. */
function share(before: ParameterBuffer, after: ParameterBuffer): number {
  let moved = 0;
  before.values.forEach((value, index) => (moved += value === after.values[index] ? 0 : 1));
  return moved / before.values.length;
}

function writeTokenizer(folder: string): void {
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(demo, name), join(folder, name));
}

/** Digest of the ternary matrices of a file. */
async function matricesOf(path: string): Promise<string> {
  const file = await openGguf(path);
  const hash = createHash('sha256');
  for (const [name, { type }] of file.tensors)
    if (type === 'Q2_0') hash.update((await file.readFloat32(name)).map(Math.sign));
  await file.close();
  return hash.digest('hex');
}
