/** Two classes of which the words of one begin those of the other, through the whole pipeline: both are learnt, and both can be answered. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readEvaluation } from '../../experiment/results.ts';
import { makeTinyExperiment, tinyOptimiser } from '../fixtures/tiny-experiment.ts';
import { classifyTexts } from '../answer/classify.ts';
import { runJob } from '../run-job.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-prefixed-'));
});
afterAll(() => {
  rmSync(root, { recursive: true });
});

it('predicts a class whose words begin another’s, and the other', async () => {
  const tiny = await makeTinyExperiment(root, { baseline: false, pretrain: null });
  const rows = (first: number, count: number): string =>
    Array.from({ length: count }, (_, at) => {
      const number = first + at;
      return at % 2 === 0 ? `buy item ${String(number)}\torder\n` : `where is ${String(number)}\torder status\n`;
    }).join('');
  const train = join(root, 'orders.tsv');
  const dev = join(root, 'more-orders.tsv');
  writeFileSync(train, `text\tqueue\n${rows(0, 64)}`);
  writeFileSync(dev, `text\tqueue\n${rows(100, 20)}`);
  const optimiser = { ...tinyOptimiser, learningRate: 3e-3 };
  const recipe = {
    ...tiny,
    task: {
      ...tiny.task,
      train,
      dev,
      maxLength: 24,
      rules: 2 as const,
      labelWords: { order: ' order', 'order status': ' order status' },
    },
    finetune: { ...tiny.finetune!, steps: 40, optimiser: { ...tiny.finetune!.optimiser, ...optimiser } },
    distil: {
      ...tiny.distil,
      steps: 40,
      studentInit: 'teacher' as const,
      optimiser: { ...tiny.distil.optimiser, ...optimiser },
    },
    exports: tiny.exports.slice(0, 1),
  };
  const folder = join(root, 'experiment');
  mkdirSync(folder);
  const context = { emit: () => undefined, stopRequested: () => null };
  for (const kind of ['finetune', 'refine', 'distil', 'evaluate', 'export'] as const)
    await runJob({ kind, recipe, folder }, context);
  const student = readEvaluation(folder, 'bitdistill')!;
  expect(new Set(student.predictions)).toEqual(new Set([0, 1]));
  expect(student.value).toBeGreaterThan(0.9);
  // The exported file gives the answers of the evaluation.
  const path = join(
    folder,
    'exports',
    readdirSync(join(folder, 'exports')).find((name) => name.endsWith('.gguf'))!,
  );
  const chosen: number[] = [];
  await classifyTexts(
    {
      path,
      tokenizer: recipe.teacher,
      task: recipe.task,
      seed: recipe.seed,
      experiment: folder,
      source: { file: dev },
    },
    (message) => {
      if (message.type !== 'classified') return;
      const scores = message.scores.map(({ logProbability }) => logProbability);
      chosen.push(scores.indexOf(Math.max(...scores)));
    },
    new AbortController().signal,
  );
  expect(chosen).toEqual(student.predictions);
});
