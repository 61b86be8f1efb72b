/** A whole experiment whose stages train on a graphics card; what happens when the card is lost; and going on with the other engine. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JobResults } from '../contract/job-results.ts';
import type { JobEvent, JobKind } from '../contract/jobs.ts';
import type { Recipe } from '../contract/recipe.ts';
import { modelFolder } from '../experiment/folder.ts';
import { distance } from '../graph/webgpu/trust.ts';
import { loadParameters } from '../models/open-model.ts';
import { needsCard, webGpuForTests } from '../testing/webgpu.ts';
import { assertEngine, closeCard, findCard } from './engine.ts';
import { makeTinyExperiment } from './fixtures/tiny-experiment.ts';
import type { JobContext } from './job.ts';
import { studentConfiguration } from './models-of-recipe.ts';
import { runJob } from './run-job.ts';

const optimiser = { learningRate: 2e-3, batchSize: 4, microBatchTokens: 256 };

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-card-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

it('a card that cannot be had is refused before anything runs', async () => {
  const recipe = await makeTinyExperiment(root, { engine: 'gpu' });
  const before = process.env['TRITSMITH_COMPONENTS'];
  process.env['TRITSMITH_COMPONENTS'] = join(root, 'components');
  try {
    expect(() => assertEngine(recipe)).toThrow('WebGPU is not installed');
    expect(() => assertEngine({ ...recipe, shards: 2 })).toThrow('A run in shards trains on processors only.');
    expect(() => assertEngine({ ...recipe, fixedPointGradients: true })).toThrow('no gradients in 16-bit fixed point');
    assertEngine({ ...recipe, engine: 'cpu' });
    expect(await findCard()).toEqual({ installed: false, found: null, verdict: null });
  } finally {
    if (before === undefined) delete process.env['TRITSMITH_COMPONENTS'];
    else process.env['TRITSMITH_COMPONENTS'] = before;
  }
});

describe.skipIf(webGpuForTests() === null)(`stages on a graphics card ${needsCard}`, () => {
  const before = process.env['TRITSMITH_COMPONENTS'];
  beforeAll(() => {
    process.env['TRITSMITH_COMPONENTS'] = dirname(webGpuForTests()!);
  });
  afterAll(() => {
    if (before === undefined) delete process.env['TRITSMITH_COMPONENTS'];
    else process.env['TRITSMITH_COMPONENTS'] = before;
  });

  /** Runs jobs one after the other in a folder of their own. */
  async function run(
    recipe: Recipe,
    name: string,
    kinds: readonly JobKind[],
    onEvent: (event: JobEvent) => void = () => undefined,
    stopRequested: JobContext['stopRequested'] = () => null,
  ): Promise<JobResults[JobKind][]> {
    const folder = join(root, name);
    mkdirSync(folder, { recursive: true });
    const results = [];
    for (const kind of kinds) results.push(await runJob({ kind, recipe, folder }, { emit: onEvent, stopRequested }));
    return results;
  }

  // On SwiftShader minutes, nearly all of them spent compiling: every job makes its kernels anew.
  const whole = process.env['TRITSMITH_TEST_CARD_RUN'] === '1' ? it : it.skip;
  whole(
    'teacher, all three stages and the baseline train as on the processor (TRITSMITH_TEST_CARD_RUN=1)',
    async () => {
      const recipe = await makeTinyExperiment(root, {
        finetune: { steps: 2, optimiser },
        pretrain: { corpus: join(root, 'corpus.jsonl'), tokens: 256, sequenceLength: 32, optimiser },
        distil: { steps: 2, optimiser },
        evaluation: { rowsDuringTraining: 0, everySteps: 0 },
      });
      const kinds = ['finetune', 'refine', 'pretrain', 'distil', 'baseline'] as const;
      const logs: string[] = [];
      const losses: Record<string, number[]> = { card: [], processor: [] };
      const listen = (where: string) => (event: JobEvent) => {
        if (event.type === 'log') logs.push(event.text);
        if (event.type === 'metrics' && 'loss' in event.values) losses[where]!.push(event.values.loss!);
      };
      const onCard = await run({ ...recipe, engine: 'gpu' }, 'card', kinds, listen('card'));
      const onProcessor = await run(recipe, 'processor', kinds, listen('processor'));
      const card = (await findCard()).found!;
      for (const [index, result] of onCard.entries())
        if (kinds[index] !== 'refine') expect(result).toMatchObject({ computedOn: [`${card.name} (${card.driver})`] });
      expect(onProcessor[3]).not.toHaveProperty('computedOn');
      expect(logs.filter((text) => text.startsWith('Training on'))).toHaveLength(4);
      expect(losses.card).toHaveLength(losses.processor!.length);
      losses.card!.forEach((loss, step) => expect(loss / losses.processor![step]!).toBeCloseTo(1, 2));
      const configuration = await studentConfiguration(recipe);
      const [student, expected] = await Promise.all(
        ['card', 'processor'].map((name) => loadParameters(modelFolder(join(root, name), 'student'), configuration)),
      );
      // AdamW turns the sign of a gradient near zero into a whole step, of 2e-3 in all.
      expect(distance(expected!.values, student!.values)).toBeLessThan(5e-3);
    },
  );

  it('a card that is lost ends the stage in words, and the run goes on from its checkpoint on the processor', async () => {
    const recipe = await makeTinyExperiment(root, {
      engine: 'gpu',
      finetune: { steps: 4, optimiser },
      evaluation: { rowsDuringTraining: 0, everySteps: 0 },
    });
    let lost: Promise<void> | undefined;
    const listen = (event: JobEvent): void => {
      if (event.type === 'checkpoint' && event.step === 2) lost = closeCard();
    };
    await expect(run(recipe, 'lost', ['finetune'], listen)).rejects.toMatchObject({ id: 'gpu.lost' });
    await lost;
    let resumedAt = 0;
    const [result] = await run({ ...recipe, engine: 'cpu' }, 'lost', ['finetune'], (event) => {
      if (event.type === 'progress' && event.unit === 'steps') resumedAt = event.resumed;
    });
    expect(resumedAt).toBe(2);
    expect(result).toMatchObject({ steps: 4, computedOn: [expect.stringContaining('('), 'processor'] });
  });
});
