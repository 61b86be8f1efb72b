/**
 * The pipeline in real worker processes on a tiny random model: all jobs from recipe to verified export, and the promise that a
 * run that was killed any number of times gives the student of an uninterrupted one, bit for bit.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TritsmithError } from '../contract/errors.ts';
import type { JobEvent, JobKind } from '../contract/jobs.ts';
import type { Recipe } from '../contract/recipe.ts';
import { modelEvaluation } from '../contract/results.ts';
import { comparisonPath } from '../experiment/folder.ts';
import { readStoredComparison } from '../experiment/results.ts';
import { exactByteProducts } from '../graph/exact-byte-products.ts';
import { forkPort } from './fork-port.ts';
import { runInWorker } from './host.ts';
import { readModelConfiguration } from '../models/architectures/index.ts';
import { makeTinyBase, makeTinyExperiment, tinyOptimiser } from '../pipeline/fixtures/tiny-experiment.ts';
import { jobsOf } from '../pipeline/inspect/cost.ts';

const fixture = (name: string) => forkPort(fileURLToPath(new URL(`../jobs/fixtures/${name}`, import.meta.url)));
const doomed = fixture('doomed-worker.ts');
const pausing = fixture('pausing-worker.ts');
let root: string;
let recipe: Recipe;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-pipeline-'));
  // The 4-bit teacher has a test of its own; here llama.cpp counts as not installed.
  process.env['TRITSMITH_COMPONENTS'] = join(root, 'components');
  recipe = await makeTinyExperiment(
    root,
    {
      finetune: { steps: 10, optimiser: tinyOptimiser },
      calibrate: { method: 'gptq', rows: 12 },
      // Two windows of one layer, soft codes first.
      reconstruct: { steps: 6, window: 1, optimiser: { ...tinyOptimiser, ternaryRate: 0.05 } },
      distil: { steps: 12, optimiser: tinyOptimiser, anneal: 0.5 },
      // In Stage 2; distilling anneals.
      fixedPointGradients: await exactByteProducts(),
      checkpoint: { steps: 3, minutes: 5 },
      exports: [{ type: 'i2_s' }],
    },
    { layers: 2, trainingRows: 160, evaluationRows: 40, paragraphs: 150 },
  );
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

async function run(kind: JobKind, folder: string, onEvent: (event: JobEvent) => void = () => undefined) {
  const outcome = await runInWorker(forkPort(), { kind, recipe, folder }, { onEvent });
  expect(outcome.state, kind).toBe('done');
}

/** Runs a job and kills its worker without warning some milliseconds after it reported `step`. */
async function runAndKill(kind: JobKind, folder: string, step: number, milliseconds: number): Promise<void> {
  let pid: number | undefined;
  let condemned = false;
  const running = runInWorker(
    doomed,
    { kind, recipe, folder },
    {
      onStart: (started) => {
        pid = started;
      },
      onEvent: (event) => {
        if (event.type !== 'progress' || event.done < step || condemned) return;
        condemned = true;
        setTimeout(() => process.kill(pid!, 'SIGKILL'), milliseconds);
      },
    },
  );
  await expect(running).rejects.toMatchObject({ code: 'worker-died' });
}

describe('an experiment in worker processes', () => {
  let whole: string;

  it('runs every planned job and leaves a verified export and a table', async () => {
    whole = join(root, 'whole');
    mkdirSync(whole);
    const metrics = new Set<string>();
    for (const kind of jobsOf(recipe))
      await run(kind, whole, (event) => {
        if (event.type === 'metrics') for (const name of Object.keys(event.values)) metrics.add(`${kind}/${name}`);
      });
    const found = readStoredComparison(whole)!;
    // How long it took is told by whoever knows the sessions.
    expect(readFileSync(comparisonPath(whole), 'utf8')).not.toContain('seconds"');
    expect(found.rows.map(({ name }) => name)).toEqual(['teacher', 'bitnet-sft', 'bitdistill']);
    for (const row of found.rows) {
      expect(row.ci95[0]).toBeLessThanOrEqual(row.accuracy);
      expect(row.ci95[1]).toBeGreaterThanOrEqual(row.accuracy);
      expect(row.prefillTokensPerSecond).toBeGreaterThan(0);
      expect(row.decodeTokensPerSecond).toBeGreaterThan(0);
    }
    // 2 layers of 131 072 weights in 14 matrices: 2 bits each and 32 bytes per matrix; F16 for the teacher.
    const weights = 2 * (128 * 128 * 2 + 64 * 128 * 2 + 3 * 128 * 128);
    expect(found.rows[0]!.bodyBytes).toBe(weights * 2);
    expect(found.rows[2]!.bodyBytes).toBe(weights / 4 + 14 * 32);
    expect(found.export).toMatchObject({ type: 'i2_s', verified: true });
    for (const name of [
      'loss',
      'loss/ce',
      'loss/kd',
      'loss/relation',
      'gamma',
      'gradient-norm',
      'flip-rate',
      'zero-fraction',
    ])
      expect(metrics).toContain(`distil/${name}`);
  });

  it.each(['finetune', 'reconstruct', 'pretrain', 'distil'] as const)(
    '%s, killed again and again and resumed, ends with the same bits',
    async (kind) => {
      const folder = join(root, `killed-${kind}`);
      cpSync(whole, folder, { recursive: true });
      const product = { finetune: 'teacher', reconstruct: 'reconstructed', pretrain: 'pretrained', distil: 'student' }[
        kind
      ];
      for (const path of [product, join('checkpoints', kind)]) rmSync(join(folder, path), { recursive: true });
      // Between checkpoints, while one is written (every third step), and right after.
      for (const [step, milliseconds] of [
        [2, 0],
        [3, 4],
        [5, 11],
        [6, 1],
        [8, 7],
      ] as const)
        await runAndKill(kind, folder, step, milliseconds);
      await run(kind, folder);
      for (const name of ['model.safetensors', 'config.json'])
        expect(sha256(join(folder, product, name)), name).toBe(sha256(join(whole, product, name)));
    },
  );

  it('calibrate, killed in the first and in the second layer and resumed, ends with the same bits', async () => {
    const folder = join(root, 'killed-calibrate');
    cpSync(whole, folder, { recursive: true });
    rmSync(join(folder, 'calibrated'), { recursive: true });
    for (const [layer, milliseconds] of [
      [0, 90],
      [1, 0],
      [1, 60],
    ] as const)
      await runAndKill('calibrate', folder, layer, milliseconds);
    expect(existsSync(join(folder, 'calibrated'))).toBe(false);
    await run('calibrate', folder);
    const path = join('calibrated', 'model.safetensors');
    expect(sha256(join(folder, path))).toBe(sha256(join(whole, path)));
  });

  it('pauses where it is told to, says at which step, and resumes to the same bits', async () => {
    const folder = join(root, 'paused');
    cpSync(whole, folder, { recursive: true });
    for (const path of ['student', join('checkpoints', 'distil')]) rmSync(join(folder, path), { recursive: true });
    const outcome = await runInWorker(pausing, { kind: 'distil', recipe, folder });
    expect(outcome).toEqual({ state: 'paused', step: 5 });
    const resumed: number[] = [];
    await run('distil', folder, (event) => {
      if (event.type === 'progress') resumed.push(event.resumed);
    });
    expect(resumed[0]).toBe(5);
    expect(sha256(join(folder, 'student', 'model.safetensors'))).toBe(
      sha256(join(whole, 'student', 'model.safetensors')),
    );
  });

  it('distils into a smaller student with other depth, width and head counts', async () => {
    const studentBase = join(root, 'small-base');
    await makeTinyBase(studentBase, {
      hidden_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    });
    const folder = join(root, 'smaller');
    mkdirSync(folder);
    cpSync(join(whole, 'teacher'), join(folder, 'teacher'), { recursive: true });
    const smaller: Recipe = {
      ...recipe,
      studentBase,
      calibrate: undefined,
      reconstruct: undefined,
      pretrain: null,
      distil: { ...recipe.distil, steps: 3 },
    };
    const losses: number[] = [];
    for (const kind of ['refine', 'distil'] as const) {
      const outcome = await runInWorker(
        forkPort(),
        { kind, recipe: smaller, folder },
        {
          onEvent: (event) => {
            if (event.type === 'metrics') losses.push(event.values['loss/relation']!);
          },
        },
      );
      expect(outcome.state).toBe('done');
    }
    expect(losses).toHaveLength(3);
    for (const loss of losses) expect(loss).toBeGreaterThan(0);
    const student = await readModelConfiguration(join(folder, 'student'));
    expect(student).toMatchObject({ hiddenSize: 64, layers: 1, ternary: true, subln: 'paper' });
  });

  it('answers in free text, scored by ROUGE and BLEU', async () => {
    const folder = join(root, 'generation');
    mkdirSync(folder);
    const rows = Array.from({ length: 12 }, (_, index) =>
      JSON.stringify({ text: `ticket ${index}`, answer: `reply ${index}` }),
    );
    const train = join(root, 'generation.jsonl');
    writeFileSync(train, `${rows.join('\n')}\n`);
    const task: Recipe['task'] = {
      ...recipe.task,
      kind: 'generation',
      train,
      dev: train,
      labelColumn: 'answer',
      maxNewTokens: 6,
    };
    const steps = { ...recipe.distil, steps: 2 };
    const generation: Recipe = {
      ...recipe,
      task,
      finetune: { ...recipe.finetune!, steps: 2 },
      calibrate: undefined,
      reconstruct: undefined,
      pretrain: null,
      distil: steps,
    };
    for (const kind of jobsOf({ ...generation, baseline: false }).slice(0, 4))
      await runInWorker(forkPort(), { kind, recipe: { ...generation, baseline: false }, folder });
    const found = modelEvaluation.parse(
      JSON.parse(readFileSync(join(folder, 'evaluations', 'bitdistill.json'), 'utf8')),
    );
    expect(found.metric).toBe('rougeL');
    expect(found.rows).toBe(12);
    for (const name of ['rouge1', 'rouge2', 'rougeLsum', 'bleu4', 'perplexity'])
      expect(found.scores).toHaveProperty(name);
  });

  it.each([
    ['a label never seen in training', { dev: 'text\tqueue\nhello there\tlawsuit\n' }, /"lawsuit".*never occurs/],
    ['a training file with one class', { train: 'text\tqueue\na b\trefund\nc d\trefund\n' }, /same label/],
    ['a missing column', { train: 'words\tqueue\na b\trefund\n' }, /no column "text"/],
  ])('refuses %s with cause and remedy', async (_, files, message) => {
    const folder = mkdtempSync(join(root, 'bad-'));
    const task = { ...recipe.task };
    for (const [name, content] of Object.entries(files)) {
      const path = join(folder, `${name}.tsv`);
      writeFileSync(path, content);
      task[name as 'train' | 'dev'] = path;
    }
    const spec = { kind: 'finetune' as const, recipe: { ...recipe, task }, folder };
    const error = await runInWorker(forkPort(), spec).then(
      () => null,
      (thrown: unknown) => thrown as TritsmithError,
    );
    expect(error).toBeInstanceOf(TritsmithError);
    expect(error!.code).toBe('bad-input');
    expect(error!.message).toMatch(message);
    expect(error!.remedy).toBeTruthy();
  });
});
