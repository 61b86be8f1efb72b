import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { JobEvent, JobKind } from '../../contract/jobs.ts';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { parseConfiguration } from '../../models/architectures/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { makeTinyExperiment } from '../fixtures/tiny-experiment.ts';
import { studentConfiguration } from '../models-of-recipe.ts';
import { runJob } from '../run-job.ts';
import { decides, decidingFields, type Stage, trainingDigest, trainingDigest010 } from './what-decides.ts';

const stages = Object.keys(decidingFields) as Stage[];
/** No trained number depends on these (on `threads` and `engine` only in the last digits, so a run may go on with others; threads.test.ts, on-a-card.test.ts). */
const decidesNothing = [
  'version',
  'name',
  'preset',
  'task.name',
  'baseline',
  'checkpoint.steps',
  'checkpoint.minutes',
  'recomputeActivations',
  'threads',
  'engine',
  'evaluation.rowsDuringTraining',
  'evaluation.everySteps',
  'exports',
];

/** Paths of all fields that hold no further ones. */
function leaves(schema: z.ZodType, path: string): string[] {
  let inner = schema;
  while (inner instanceof z.ZodNullable || inner instanceof z.ZodOptional || inner instanceof z.ZodDefault)
    inner = inner.unwrap() as z.ZodType;
  if (!(inner instanceof z.ZodObject)) return [path];
  return Object.entries(inner.shape as Record<string, z.ZodType>).flatMap(([name, field]) =>
    leaves(field, path === '' ? name : `${path}.${name}`),
  );
}

const optimiser = { learningRate: 1e-3 };
const minimal = {
  name: 'a run',
  teacher: '/models/base',
  task: { name: 'rows', kind: 'classification', train: '/rows.tsv', textColumns: ['text'], labelColumn: 'label' },
  finetune: { optimiser },
  refine: {},
  calibrate: { method: 'gptq' },
  reconstruct: { optimiser },
  pretrain: { corpus: '/corpus.jsonl', tokens: 1000, optimiser },
  distil: { optimiser },
  keepBest: { measure: 'accuracy' },
} as const;
const recipe = recipeSchema.parse(minimal);
/** With every group of fields that a value can be put into. */
const whole = recipeSchema.parse({
  ...minimal,
  moreRows: { file: '/unlabelled.csv', rows: 10 },
  teacherWrites: { rows: 5 },
});

/** Another value of every field that can be changed. */
const others: Record<string, unknown> = {
  seed: 2,
  shards: 8,
  roundedExchange: 4,
  teacher: '/models/other',
  studentBase: '/models/small',
  'task.kind': 'generation',
  'task.train': '/other.tsv',
  'task.dev': '/dev.tsv',
  'task.devFraction': 0.2,
  'task.textColumns': ['text', 'more'],
  'task.labelColumn': 'class',
  'task.template': '{{ text }}:',
  'task.labelWords': { a: 'x', b: 'y' },
  'task.maxLength': 99,
  'task.maxNewTokens': 9,
  'task.limit': 7,
  'task.rules': 2,
  'task.mergeLabels': true,
  'task.unlabelled': ['?'],
  'task.groupColumn': 'customer',
  'task.timeColumn': 'day',
  'task.reading.sheet': 'Tickets',
  'task.reading.devSheet': 'Held out',
  'task.reading.header': 'none',
  'task.reading.delimiter': ';',
  'task.reading.quote': 'none',
  'task.reading.escape': 'backslash',
  'task.reading.encoding': 'gb18030',
  'cut.layers': 3,
  'keepBest.measure': 'macro-f1',
  'keepBest.rows': 9,
  'keepBest.everySteps': 3,
  'keepBest.patience': 2,
  'refine.subln': 'all',
  'refine.sublnInit': 'ones',
  continueTernary: true,
  'refine.dropQkvBias': true,
  'quantisation.weights.scale': 'absmedian',
  'quantisation.weights.group': 'row',
  'quantisation.weights.sparsity': '2:4',
  'quantisation.activations.hadamard': true,
  'quantisation.activations.bits': 4,
  'quantisation.activations.eightBitShare': 0.5,
  fixedPointGradients: true,
  roundedProducts: true,
  'calibrate.method': 'awq',
  'calibrate.rows': 9,
  'calibrate.damping': 0.1,
  'reconstruct.window': 2,
  'moreRows.file': '/more.csv',
  'moreRows.rows': 77,
  'teacherWrites.rows': 6,
  'teacherWrites.temperature': 0.5,
  'teacherWrites.examples': 2,
  'reconstruct.soften': 0.5,
  'reconstruct.laterRates': 0.5,
  'reconstruct.corpus': '/more-texts',
  'reconstruct.tokens': 3000,
  'reconstruct.sequenceLength': 32,
  'pretrain.corpus': '/texts',
  'pretrain.tokens': 2000,
  'pretrain.sequenceLength': 64,
  'pretrain.soften': 0.5,
  'distil.lambda': 1,
  'distil.soften': 0.5,
  'distil.teacherOnce': true,
  'distil.teacherTop': 8,
  'distil.gamma': 100,
  'distil.gammaRatio': 0.1,
  'distil.tau': 2,
  'distil.tauSquared': true,
  'distil.logitsTokens': 'all',
  'distil.tokenWeights': 'tsld',
  'distil.hidden': 1,
  'distil.layer': 1,
  'distil.splitHeads': 4,
  'distil.studentInit': 'teacher',
  'distil.anneal': 0.5,
  ...Object.fromEntries(
    ['finetune', 'reconstruct', 'pretrain', 'distil'].flatMap((stage) => [
      [`${stage}.optimiser.learningRate`, 2e-3],
      [`${stage}.optimiser.schedule`, 'cosine'],
      [`${stage}.optimiser.warmup`, 0.2],
      [`${stage}.optimiser.weightDecay`, 0.2],
      [`${stage}.optimiser.beta1`, 0.5],
      [`${stage}.optimiser.beta2`, 0.5],
      [`${stage}.optimiser.epsilon`, 1e-6],
      [`${stage}.optimiser.clipNorm`, 2],
      [`${stage}.optimiser.batchSize`, 4],
      [`${stage}.optimiser.microBatchTokens`, 128],
      [`${stage}.optimiser.moments`, '8-bit'],
    ]),
  ),
  'reconstruct.optimiser.ternaryRate': 0.02,
  'pretrain.optimiser.ternaryRate': 0.01,
  'distil.optimiser.ternaryRate': 'auto',
  ...Object.fromEntries(
    ['finetune', 'reconstruct', 'distil'].flatMap((stage) => [
      [`${stage}.epochs`, 3],
      [`${stage}.steps`, 30],
    ]),
  ),
};

function withValue(path: string, value: unknown): Recipe {
  const copy = structuredClone(whole) as unknown as Record<string, unknown>;
  const names = path.split('.');
  const last = names.pop()!;
  let at = copy;
  for (const name of names) at = (at[name] ??= {}) as Record<string, unknown>;
  at[last] = value;
  return recipeSchema.parse(copy);
}

const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};
const plainSettings = {
  vocab_size: 1536,
  hidden_size: 128,
  intermediate_size: 384,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: 'silu',
  rms_norm_eps: 1e-6,
  rope_theta: 500_000,
  max_position_embeddings: 256,
  tie_word_embeddings: true,
};
const configuration = { layers: 1 } as ModelConfiguration;
const batches = { stepsPerEpoch: 1, fingerprint: 'rows', at: () => Promise.resolve([]) };
const digestOf = (job: Exclude<Stage, 'cut' | 'refine'>, of: Recipe): string =>
  trainingDigest({ job, recipe: of, totalSteps: 10, configuration, batches });

describe('what decides a stage', () => {
  it('is said of every field of the recipe', () => {
    const known = new Set([...decidingFields.distil, ...decidingFields.baseline, ...decidesNothing]);
    expect(leaves(recipeSchema, '').toSorted()).toEqual([...known].toSorted());
    expect(decidesNothing.filter((path) => stages.some((stage) => decidingFields[stage].includes(path)))).toEqual([]);
  });

  it.each(stages)('%s: changes with each of its fields and with no other', (stage) => {
    const before = JSON.stringify(decides(stage, whole));
    for (const path of decidingFields[stage]) expect(path in others, path).toBe(true);
    for (const [path, value] of Object.entries(others)) {
      const changed = JSON.stringify(decides(stage, withValue(path, value))) !== before;
      expect(changed, path).toBe(decidingFields[stage].includes(path));
    }
  });

  it('holds the stages that come before', () => {
    for (const [stage, before] of [
      ['refine', 'finetune'],
      ['calibrate', 'refine'],
      ['reconstruct', 'calibrate'],
      ['pretrain', 'reconstruct'],
      ['distil', 'pretrain'],
    ] as const)
      expect(decidingFields[stage]).toEqual(expect.arrayContaining([...decidingFields[before]]));
    expect(digestOf('finetune', { ...recipe, keepBest: undefined })).not.toBe(digestOf('finetune', recipe));
    expect(digestOf('distil', { ...recipe, finetune: null })).not.toBe(digestOf('distil', recipe));
    expect(digestOf('pretrain', { ...recipe, reconstruct: undefined })).not.toBe(digestOf('pretrain', recipe));
    expect(digestOf('distil', { ...recipe, pretrain: null })).not.toBe(digestOf('distil', recipe));
  });

  it('is the same for a recipe of before a field was added, and of whatever version wrote its defaults', () => {
    const old = structuredClone(minimal) as unknown as Recipe;
    const grown = { ...recipe, someNewField: 7, distil: { ...recipe.distil, somethingElse: 'x', anneal: undefined } };
    for (const job of ['finetune', 'reconstruct', 'pretrain', 'distil', 'baseline'] as const) {
      expect(digestOf(job, old)).toBe(digestOf(job, recipe));
      expect(digestOf(job, grown as Recipe)).toBe(digestOf(job, recipe));
    }
  });

  it('is not all: shapes, data, number of steps and the stage itself are in the digest too', () => {
    const own = { job: 'distil' as const, recipe, totalSteps: 10, configuration, batches };
    const digests = [
      own,
      { ...own, job: 'baseline' as const },
      { ...own, totalSteps: 11 },
      { ...own, configuration: { layers: 2 } as ModelConfiguration },
      { ...own, batches: { ...batches, fingerprint: 'other rows' } },
    ].map(trainingDigest);
    expect(new Set(digests).size).toBe(5);
  });

  // Written by version 0.1.0 (nearly the whole recipe) and by the one after it, of these settings in a config.json.
  it.each([
    [
      { model_type: 'llama', rope_scaling: llama3 },
      '347aa1015221813a988645f1013775679b8b9f09c125482c02d9037a93b1374a',
      '702dc2300a47cb3ebd9ea52cee8a5bf46166ad18f5ec13c2884ad3676fbb764a',
    ],
    [
      { model_type: 'qwen2' },
      '281e25be10187229f0c689f9712c3b42bfc1dcce6065ba5cf85a4a855157ea97',
      'e0267896a7ef41b72a63271c9e104b7006e698c6566fe02095fb86c44d184f30',
    ],
    [
      { model_type: 'qwen3', head_dim: 32 },
      'a6e903ea8947eae1e9c428bae77000e31d2b17190b791260cc5ef88d69a264ad',
      '2b598d6358eacd84b7262d6f88615e039cc7405ab7914ba369c7e051aef272b2',
    ],
  ])('has the digests that earlier versions wrote: %o', (settings, first, second) => {
    const shape = parseConfiguration(JSON.stringify({ ...plainSettings, ...settings }));
    const old = { ...recipe, calibrate: undefined, reconstruct: undefined, keepBest: undefined };
    const decided = { job: 'distil' as const, recipe: old, totalSteps: 10, configuration: shape, batches };
    expect(trainingDigest010(decided)).toBe(first);
    expect(trainingDigest(decided)).toBe(second);
    expect(trainingDigest({ ...decided, configuration: { ...shape, residualScale: 0.5 } })).not.toBe(second);
  });
});

describe('a stage', () => {
  let root: string;
  let tiny: Recipe;
  let whole: string;
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'tritsmith-decides-'));
    tiny = await makeTinyExperiment(root, { baseline: false, pretrain: null });
    whole = join(root, 'whole');
    mkdirSync(whole);
    for (const kind of ['finetune', 'refine', 'distil'] as const) await run(kind, tiny, whole);
  });
  afterAll(() => rmSync(root, { recursive: true }));

  /** Events of a job; `until`: ends it as a pause would after that step. */
  async function run(kind: JobKind, of: Recipe, folder: string, until = Infinity): Promise<JobEvent[]> {
    const events: JobEvent[] = [];
    const reached = () => events.some((event) => event.type === 'metrics' && event.step >= until);
    const job = runJob(
      { kind, recipe: of, folder },
      { emit: (event) => events.push(event), stopRequested: () => (reached() ? 'pause' : null) },
    );
    if (until === Infinity) await job;
    else await expect(job).rejects.toMatchObject({ request: 'pause' });
    return events;
  }
  const student = (folder: string): string =>
    createHash('sha256')
      .update(readFileSync(join(folder, 'student', 'model.safetensors')))
      .digest('hex');
  function undistilled(name: string): string {
    const folder = join(root, name);
    cpSync(whole, folder, { recursive: true });
    rmSync(join(folder, 'student'), { recursive: true });
    rmSync(join(folder, 'checkpoints'), { recursive: true });
    return folder;
  }

  it('goes on from its checkpoint when nothing that decides has changed, to the same bits', async () => {
    const folder = undistilled('other-ways');
    await run('distil', tiny, folder, 4);
    const otherwise: Recipe = {
      ...tiny,
      name: 'renamed',
      preset: 'quick',
      recomputeActivations: true,
      baseline: true,
      evaluation: { rowsDuringTraining: 4, everySteps: 3 },
      checkpoint: { steps: 3, minutes: 1 },
      exports: [],
    };
    const events = await run('distil', otherwise, folder);
    expect(events.find((event) => event.type === 'progress' && event.done > 0)).toMatchObject({ resumed: 4 });
    expect(student(folder)).toBe(student(whole));
  });

  it('goes on from a checkpoint that version 0.1.0 wrote', async () => {
    const folder = undistilled('old-version');
    await run('distil', tiny, folder, 4);
    const checkpoints = join(folder, 'checkpoints', 'distil');
    const manifests = readdirSync(checkpoints).filter((name) => name.endsWith('.json'));
    const rewritten = (configuration: string): void => {
      for (const name of manifests) {
        const content = JSON.parse(readFileSync(join(checkpoints, name), 'utf8')) as { state: object };
        writeFileSync(
          join(checkpoints, name),
          JSON.stringify({ ...content, state: { ...content.state, configuration } }),
        );
      }
    };
    const rows = JSON.parse(readFileSync(join(folder, 'cache', 'task.tokens.json'), 'utf8')) as { sha256: string };
    const written = {
      job: 'distil' as const,
      recipe: tiny,
      totalSteps: 10,
      configuration: await studentConfiguration(tiny),
      batches: { ...batches, fingerprint: rows.sha256 },
    };
    rewritten(trainingDigest010(written));
    const events = await run('distil', tiny, folder);
    expect(events.find((event) => event.type === 'progress' && event.done > 0)).toMatchObject({ resumed: 4 });
    expect(student(folder)).toBe(student(whole));
    // What it saves from here on has the digest of today.
    const last = readdirSync(checkpoints)
      .filter((name) => name.endsWith('.json'))
      .sort()
      .at(-1)!;
    expect(JSON.parse(readFileSync(join(checkpoints, last), 'utf8'))).toMatchObject({
      state: { configuration: trainingDigest(written) },
    });
  });

  it('starts again, and says why, where something that decides has changed', async () => {
    const folder = undistilled('changed');
    await run('distil', tiny, folder, 4);
    const events = await run('distil', { ...tiny, distil: { ...tiny.distil, tau: 2 } }, folder);
    expect(events.filter((event) => event.type === 'log').map(({ text }) => text)).toContainEqual(
      expect.stringContaining('settings or rows have changed'),
    );
    expect(events.find((event) => event.type === 'progress' && event.done > 0)).toMatchObject({ resumed: 0 });
    expect(student(folder)).not.toBe(student(whole));
  });
});
