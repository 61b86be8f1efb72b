/** Whole experiments in virtual shards: whatever the number of ranks, every file that a job leaves is the same. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JobEvent, type JobKind, jobsOfRanks } from '../../contract/jobs.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { alone, type Collective } from '../../training/collective.ts';
import { asRanks } from '../../training/fixtures/ranks-in-memory.ts';
import { makeTinyExperiment, tinyOptimiser } from '../fixtures/tiny-experiment.ts';
import { jobsOf } from '../inspect/cost.ts';
import { assertSame } from '../ranks.ts';
import { runJob } from '../run-job.ts';
import { decides } from './what-decides.ts';

let root: string;
let recipe: Recipe;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-shards-'));
  recipe = await makeTinyExperiment(
    root,
    {
      shards: 4,
      reconstruct: { steps: 4, window: 1, optimiser: tinyOptimiser },
      distil: { steps: 6, optimiser: { ...tinyOptimiser, ternaryRate: 'auto' } },
      keepBest: { measure: 'macro-f1', rows: 12, everySteps: 2 },
      evaluation: { rowsDuringTraining: 8, everySteps: 3 },
      checkpoint: { steps: 3, minutes: 5 },
    },
    { layers: 2, trainingRows: 90, evaluationRows: 20, paragraphs: 100 },
  );
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

interface Ran {
  readonly folder: string;
  readonly metrics: unknown[];
}

/** Runs the experiment's jobs up to the evaluation, those that ranks share with `size` of them. */
async function experiment(name: string, of: Recipe, size: number): Promise<Ran> {
  const folder = join(root, name);
  mkdirSync(folder);
  const metrics: unknown[] = [];
  const emit = (event: JobEvent): void => {
    if (event.type !== 'metrics') return;
    const values = Object.entries(event.values).filter(([metric]) => !/second|bytes/.test(metric));
    metrics.push([event.step, Object.fromEntries(values)]);
  };
  const run = (kind: JobKind, collective: Collective) =>
    runJob(
      { kind, recipe: of, folder },
      { emit: collective.rank === 0 ? emit : () => undefined, stopRequested: () => null, collective },
    );
  const jobs = jobsOf(of);
  for (const kind of jobs.slice(0, jobs.indexOf('evaluate') + 1))
    if (jobsOfRanks.includes(kind)) await asRanks(size, (collective) => run(kind, collective));
    else await run(kind, alone);
  return { folder, metrics };
}

/** Digests of all models and evaluations. */
function found(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /^(?!cache|checkpoints).*(model\.safetensors|evaluations\/.*\.json|comparison\.json)$/.test(path),
  );
  return Object.fromEntries(
    files.toSorted().map((path) => [
      path,
      createHash('sha256')
        .update(readFileSync(join(folder, path)))
        .digest('hex'),
    ]),
  );
}

describe('an experiment in shards', () => {
  it('leaves the same files and curves with 1, 2 and 4 ranks', async () => {
    const one = await experiment('one', recipe, 1);
    expect(Object.keys(found(one.folder)).filter((path) => path.endsWith('model.safetensors'))).toHaveLength(6);
    for (const size of [2, 4]) {
      const several = await experiment(`of-${size}`, recipe, size);
      expect(found(several.folder)).toEqual(found(one.folder));
      expect(several.metrics).toEqual(one.metrics);
      expect(existsSync(join(several.folder, 'cache', 'hidden'))).toBe(false);
    }
  });

  it('writes the same texts with 1 and 4 ranks', async () => {
    const writing = recipeSchema.parse({
      ...recipe,
      task: { ...recipe.task, kind: 'generation', maxNewTokens: 4 },
      keepBest: undefined,
      reconstruct: undefined,
      pretrain: null,
      baseline: false,
      distil: { ...recipe.distil, steps: 2 },
      finetune: { ...recipe.finetune, steps: 2 },
    });
    const one = await experiment('writing-one', writing, 1);
    const four = await experiment('writing-four', writing, 4);
    expect(Object.keys(found(one.folder))).toContain(join('evaluations', 'bitdistill.json'));
    expect(found(four.folder)).toEqual(found(one.folder));
  });

  it('is another run with other threads: they decide the last digits of what every rank computes', () => {
    const threads = (of: Recipe, count: number) => decides('distil', { ...of, threads: count });
    expect(threads(recipe, 1)).not.toEqual(threads(recipe, 2));
    const plain = { ...recipe, shards: undefined };
    expect(threads(plain, 1)).toEqual(threads(plain, 2));
  });

  it.each([
    ['a recipe without shards', { shards: undefined }, 2, 'ranks.no-shards'],
    ['as many threads as there are', { threads: 0 }, 1, 'ranks.no-threads'],
    ['three ranks', {}, 3, 'ranks.not-a-divisor'],
    ['more ranks than shards', {}, 8, 'ranks.not-a-divisor'],
  ] as const)('refuses %s', async (_, changes, size, id) => {
    const context = { emit: () => undefined, stopRequested: () => null };
    const job = { kind: 'distil', recipe: { ...recipe, ...changes }, folder: root } as const;
    await expect(runJob(job, { ...context, collective: { ...alone, size } })).rejects.toMatchObject({ id });
  });

  it('is refused where a rank would compute otherwise, and says what differs', async () => {
    const outcomes = await asRanks(4, (collective) =>
      assertSame(collective, { 'instruction sets': collective.rank < 2 ? 'avx2 avx512f' : 'avx2', node: 'v24' }).catch(
        (error: unknown) => error,
      ),
    );
    for (const error of outcomes)
      expect(error).toMatchObject({
        id: 'ranks.differ',
        params: { ranks: [2, 3], what: ['instruction sets (avx2 instead of avx2 avx512f)'] },
      });
  });
});
