import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DiskTerm, RecipeForecast } from '../../contract/estimates.ts';
import { sumOf } from '../../contract/quantities.ts';
import type { JobResults } from '../../contract/job-results.ts';
import type { JobKind } from '../../contract/jobs.ts';
import { type Recipe, reconstructSettings } from '../../contract/recipe.ts';
import { loadTokenizer } from '../../formats/tokenizers/index.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { runJob } from '../run-job.ts';
import { prepareTask } from '../task/task-data.ts';
import { costsOf, jobsOf, shapesOf } from './cost.ts';
import { forecastPublished } from './estimate-models.ts';
import { forecastRecipe } from './estimate.ts';
import { planJobs } from './plan.ts';

let folder: string;
let experiment: string;
let recipe: Recipe;
let found: RecipeForecast;
const results = new Map<JobKind, JobResults[JobKind]>();
const training = ['finetune', 'refine', 'pretrain', 'distil', 'baseline'] as const;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-estimate-'));
  experiment = join(folder, 'experiment');
  recipe = await makeTinyExperiment(folder);
  found = await forecastRecipe(recipe);
  const context = { emit: () => undefined, stopRequested: () => null };
  for (const kind of training) results.set(kind, await runJob({ kind, recipe, folder: experiment }, context));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const stage = (kind: JobKind, of = found) => of.stages.find((each) => each.kind === kind)!;
const onDisk = (kind: JobKind, id: DiskTerm['id']): number => sumOf(stage(kind).disk.filter((term) => term.id === id));
function sizeOf(path: string): number {
  const facts = statSync(path);
  if (!facts.isDirectory()) return facts.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

describe('the forecast of a recipe, beside its run', () => {
  it('counts the steps that each stage makes, the baseline for as long as the student in all its stages', () => {
    for (const kind of ['finetune', 'pretrain', 'distil', 'baseline'] as const)
      expect([kind, stage(kind).steps]).toEqual([kind, (results.get(kind) as { steps: number }).steps]);
    expect(stage('baseline').steps).toBe(stage('distil').steps + stage('pretrain').steps);
  });

  it('with a long Stage 2 makes the baseline as much longer', async () => {
    const long = await forecastRecipe({ ...recipe, pretrain: { ...recipe.pretrain!, tokens: 256_000 } }, found.size);
    expect(stage('baseline', long).steps).toBe(stage('distil').steps + 1000);
    const share = stage('baseline', long).work / stage('baseline').work;
    expect(share).toBeGreaterThan(40);
  });

  it('knows the rows, tokens and answers of the task as the training meets them', async () => {
    const tokenizer = await loadTokenizer(recipe.teacher);
    const task = await prepareTask(recipe.task, tokenizer, recipe.seed);
    const rows = [];
    for await (const row of task.train()) rows.push(row);
    const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
    const answers = rows.map(({ ids, responseStart }) => ids.length - responseStart);
    expect(found.size).toMatchObject({
      rows: 80,
      tokens,
      answerTokens: answers.reduce((sum, length) => sum + length, 0),
      longestRow: Math.max(...rows.map(({ ids }) => ids.length)),
      longestAnswer: Math.max(...answers),
      evaluationRows: 20,
    });
  });

  it('says what the run leaves on the disk: checkpoints of every stage, models, tokens', () => {
    const models = {
      finetune: 'teacher',
      refine: 'refined',
      pretrain: 'pretrained',
      distil: 'student',
      baseline: 'baseline',
    };
    for (const kind of training) {
      const model = sizeOf(join(experiment, models[kind]));
      expect([kind, onDisk(kind, 'model') / model]).toEqual([kind, expect.closeTo(1, 1)]);
      if (kind === 'refine') continue;
      const checkpoints = sizeOf(join(experiment, 'checkpoints', kind));
      expect([kind, onDisk(kind, 'checkpoint-files') / checkpoints]).toEqual([kind, expect.closeTo(1, 1)]);
    }
    const cache = sizeOf(join(experiment, 'cache'));
    const tokens = onDisk('finetune', 'tokens') + onDisk('pretrain', 'tokens');
    expect(tokens / cache).toBeGreaterThan(0.8);
    expect(tokens / cache).toBeLessThan(1.25);
    expect(existsSync(join(experiment, 'checkpoints', 'finetune'))).toBe(true);
  });

  it('says how far a ternary weight can move in each stage, and warns where few can leave their bin', async () => {
    const optimiser = { ...recipe.distil.optimiser, warmup: 0, schedule: 'constant' as const };
    const own: Recipe = { ...recipe, distil: { ...recipe.distil, optimiser } };
    // Weights of deviation 0.02, those of o and down smaller: mean|W| is 0.02 sqrt(2 / pi).
    const slow = { ...own, distil: { ...own.distil, optimiser: { ...optimiser, learningRate: 1e-5 } } };
    const few = await forecastRecipe(slow, found.size);
    expect(stage('finetune', few).travel).toBeNull();
    expect(stage('refine', few).travel).toBeNull();
    expect(stage('distil', few).travel! / ((10 * 1e-5) / (0.02 * Math.sqrt(2 / Math.PI)))).toBeCloseTo(1, 1);
    expect(few.warnings.map(({ params }) => (params as { stage: JobKind }).stage)).toEqual(['distil', 'baseline']);
    expect(few.warnings[0]!.text).toContain('at most 0.6 %');
    const automatic = { ...slow.distil.optimiser, ternaryRate: 'auto' as const };
    const enough = await forecastRecipe({ ...slow, distil: { ...slow.distil, optimiser: automatic } }, found.size);
    expect(stage('distil', enough).travel).toBeCloseTo(0.1, 9);
    expect(enough.warnings).toEqual([]);
    // After a reconstruction the student has lower rates, the baseline its own.
    const reconstruct = reconstructSettings.parse({ steps: 10, laterRates: 0.2, optimiser: automatic });
    const after = await forecastRecipe(
      { ...slow, reconstruct, distil: { ...slow.distil, optimiser: automatic } },
      found.size,
    );
    expect(after.warnings).toEqual([]);
    expect((['reconstruct', 'distil', 'baseline'] as const).map((kind) => stage(kind, after).travel)).toEqual([
      expect.closeTo(0.1, 9),
      expect.closeTo(0.02, 9),
      expect.closeTo(0.01 * stage('baseline').steps, 9),
    ]);
  });

  it('takes a rehearsal’s speed instead of a guess', async () => {
    const measured = { steps: 20, secondsPerStep: 0.1, tokensPerSecond: 3000 };
    const rehearsed = await forecastRecipe(recipe, found.size, measured);
    const { low, high } = stage('finetune', rehearsed).seconds;
    const { overhead } = rehearsed.basis;
    const evaluations = stage('finetune').tokens / 3000;
    expect(low - overhead.low).toBeCloseTo(0.8 * evaluations, 5);
    expect(high - overhead.high).toBeCloseTo(1.4 * evaluations, 5);
  });

  it('takes a card’s speed for what a card trains alone', async () => {
    const measured = { steps: 20, secondsPerStep: 0.001, tokensPerSecond: 3e6 };
    const onCard = await forecastRecipe({ ...recipe, engine: 'gpu' }, found.size, measured);
    expect(stage('distil', onCard).seconds.high).toBeLessThan(stage('distil').seconds.high);
    for (const kind of ['evaluate', 'four-bit'] as const)
      expect(stage(kind, onCard).seconds).toEqual(stage(kind).seconds);
  });

  it('counts what weights of tokens cost: the teacher’s head once more, of both divergences more logits', async () => {
    const forecast = async (tokenWeights?: 'tsld' | 'cakld') => {
      const distil = { ...recipe.distil, tokenWeights };
      const { work, memory } = stage('distil', await forecastRecipe({ ...recipe, distil }, found.size));
      return { work, logits: sumOf(memory.filter(({ id }) => id === 'logits')) };
    };
    const [plain, tsld, cakld] = [await forecast(), await forecast('tsld'), await forecast('cakld')];
    expect(tsld.work).toBeGreaterThan(plain.work);
    expect(cakld.work).toBe(tsld.work);
    expect(tsld.logits).toBe(plain.logits);
    expect(cakld.logits / plain.logits).toBeCloseTo(8 / 6, 10);
  });

  it('weighs the plan of an experiment by the same costs', async () => {
    const shapes = await shapesOf(recipe);
    const costs = costsOf(recipe, shapes, found.size);
    const plan = planJobs(recipe, shapes, found.size);
    expect(plan.map(({ kind }) => kind)).toEqual(jobsOf(recipe));
    const weight = (kind: JobKind) => plan.find((each) => each.kind === kind)!.weight - 2;
    const work = (kind: JobKind) => costs.find((each) => each.kind === kind)!.work;
    for (const kind of ['pretrain', 'distil', 'baseline'] as const)
      expect(weight(kind) / weight('finetune')).toBeCloseTo(work(kind) / work('finetune'), 6);
    expect(stage('distil').work).toBe(work('distil'));
  });

  it('takes as much memory as the largest stage, which learns from a teacher', () => {
    const peaks = found.stages.map(({ memory }) => sumOf(memory));
    expect(sumOf(stage('distil').memory)).toBe(Math.max(...peaks));
    expect(stage('distil').memory.map(({ id }) => id)).toContain('teacher');
    expect(stage('baseline').memory.map(({ id }) => id)).not.toContain('teacher');
  });
});

describe('the forecast of published models', () => {
  it('grows with the model, and counts the parameters that they are called after', () => {
    const models = forecastPublished();
    const memory = models.map((model) => sumOf(model.memory));
    expect(memory).toEqual([...memory].sort((a, b) => a - b));
    for (const { name, memory: terms } of models) {
      const teacher = terms.find(({ id }) => id === 'teacher')!;
      expect(teacher.bytes / 4e9 / Number(/[\d.]+(?=B$)/.exec(name)![0])).toBeCloseTo(1, 1);
    }
  });
});
