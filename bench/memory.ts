/**
 * `npm run bench -- memory [--shape demo|base|0.6b|all] [--batch N] [--length N] [--recompute] [--moments 8-bit] [--threads N] [--json]`: one optimiser step of each training
 * stage (random weights; the distillation with teacher, balanced gamma and the logits term on all tokens), each in a process of its own: its peak
 * resident memory beside the estimate that the machine check shows.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { sumOf } from '../main/contract/quantities.ts';
import { type OptimiserSettings, optimiserSettings } from '../main/contract/recipe.ts';
import type { ModelConfiguration } from '../main/models/configuration.ts';
import { initialParameters } from '../main/models/initial-parameters.ts';
import { Network } from '../main/models/network.ts';
import { countParameters, ParameterBuffer } from '../main/models/parameters.ts';
import { packMicroBatch } from '../main/training/batches.ts';
import { AdamW } from '../main/training/optimiser.ts';
import { Random } from '../main/basics/random.ts';
import { type Distillation, TrainingStep } from '../main/training/training-step.ts';
import { stepMemory } from '../main/training/step-memory.ts';
import { qwen3 } from '../main/pipeline/inspect/estimate-models.ts';
import { circumstances, markdownTable, writeSection } from './results-page.ts';
import { table } from './table.ts';

interface Shape {
  readonly configuration: ModelConfiguration;
  /** Rows of a micro-batch and their tokens, where none are asked for. */
  readonly batch: number;
  readonly length: number;
}

const shapes: Record<string, Shape> = {
  demo: {
    configuration: {
      ...qwen3,
      vocabSize: 1536,
      hiddenSize: 128,
      layers: 4,
      heads: 4,
      kvHeads: 2,
      headSize: 32,
      ffnSize: 384,
    },
    batch: 32,
    length: 128,
  },
  base: {
    configuration: {
      ...qwen3,
      vocabSize: 2048,
      hiddenSize: 256,
      layers: 4,
      heads: 8,
      kvHeads: 4,
      headSize: 32,
      ffnSize: 768,
    },
    batch: 16,
    length: 256,
  },
  '0.6b': {
    configuration: {
      ...qwen3,
      vocabSize: 151_936,
      hiddenSize: 1024,
      layers: 28,
      heads: 16,
      kvHeads: 8,
      headSize: 128,
      ffnSize: 3072,
    },
    batch: 4,
    length: 128,
  },
};

/** Tokens of a row that a task stage learns. */
const answer = 8;

const stages = ['finetune', 'pretrain', 'distil'] as const;
type Stage = (typeof stages)[number];

interface Measured {
  shape: string;
  stage: Stage;
  parameters: number;
  batch: number;
  length: number;
  recompute: boolean;
  moments: OptimiserSettings['moments'];
  stepSeconds: number;
  peakRssBytes: number;
  estimatedBytes: number;
  loss: number;
}

/** Runs in the child: allocates, makes two steps (the second meets every buffer at its size), reports. */
async function measure(
  shape: string,
  stage: Stage,
  batch: number,
  length: number,
  recompute: boolean,
  moments: OptimiserSettings['moments'],
  threads: number,
): Promise<Measured> {
  const base = shapes[shape]!.configuration;
  const random = new Random(1);
  // Uniform numbers of the same deviation: 600 million normal ones would take longer than the step.
  const spread = (): number => (random.uniform() - 0.5) * Math.sqrt(12);
  const teacher =
    stage === 'distil'
      ? await Network.create(base, initialParameters(base, spread), { threads, mode: 'inference' })
      : null;
  const own: ModelConfiguration = stage === 'finetune' ? base : { ...base, ternary: true, subln: 'paper' };
  const network = await Network.create(own, initialParameters(own, spread), {
    threads,
    mode: 'training',
    recomputeActivations: recompute,
  });
  const distillation: Distillation | null = teacher && {
    teacher,
    lambda: 10,
    tau: 5,
    tauSquared: false,
    logitsTokens: 'all',
    teacherLayer: base.layers - 1,
    studentLayer: base.layers - 1,
    splitHeads: 'auto',
    gamma: 'balanced',
    gammaRatio: 0.5,
    hidden: 0,
  };
  const step = await TrainingStep.create(network, distillation, { threads });
  const gradients = new ParameterBuffer(network.parameters.specifications);
  const optimiser = new AdamW(network.parameters, optimiserSettings.parse({ learningRate: 1e-5, moments }));
  const rows = Array.from({ length: batch }, () => ({
    ids: Int32Array.from({ length }, () => random.below(base.vocabSize)),
    responseStart: stage === 'pretrain' ? 1 : length - answer,
  }));
  let started = performance.now();
  let loss = 0;
  for (let index = 1; index <= 2; index += 1) {
    started = performance.now();
    loss = (await step.run(index, [packMicroBatch(rows)], gradients)).total;
    optimiser.step(gradients, index, 1e-5);
    network.refreshTernary();
  }
  const { total } = countParameters(base);
  return {
    shape,
    stage,
    parameters: total,
    batch,
    length,
    recompute,
    moments,
    stepSeconds: (performance.now() - started) / 1000,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    estimatedBytes: sumOf(
      stepMemory({
        model: own,
        teacher: stage === 'distil' ? base : null,
        rows: batch,
        rowLength: length,
        headRows: stage === 'finetune' ? batch * answer : batch * length,
        recompute,
        moments,
      }),
    ),
    loss,
  };
}

const options = {
  shape: { type: 'string', default: 'all' },
  stage: { type: 'string' },
  batch: { type: 'string' },
  length: { type: 'string' },
  threads: { type: 'string', default: '0' },
  recompute: { type: 'boolean', default: false },
  moments: { type: 'string' },
  page: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

export function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  const names = values.shape === 'all' ? Object.keys(shapes) : [values.shape];
  const found: Measured[] = [];
  for (const name of names) {
    if (shapes[name] === undefined)
      throw new Error(`unknown shape ${name}; known are ${Object.keys(shapes).join(', ')}, all`);
    for (const stage of values.stage === undefined ? stages : [values.stage]) {
      process.stderr.write(`${name}, ${stage} ...\n`);
      const child = spawnSync(
        process.execPath,
        [fileURLToPath(import.meta.url), ...args, '--shape', name, '--stage', stage],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
      );
      if (child.status !== 0) throw new Error(`the measured process ended with ${child.signal ?? child.status}`);
      found.push(JSON.parse(child.stdout) as Measured);
    }
  }
  if (values.json) {
    process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    return Promise.resolve();
  }
  const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2);
  const cells = [
    ['shape', 'stage', 'parameters', 'batch x length', 'step s', 'peak RSS GB', 'estimate GB', 'estimate is'],
    ...found.map((one) => [
      one.shape,
      one.stage,
      `${(one.parameters / 1e6).toFixed(1)} M`,
      `${one.batch} x ${one.length}${one.recompute ? ', recomputed' : ''}${one.moments ? `, moments ${one.moments}` : ''}`,
      one.stepSeconds.toFixed(1),
      gigabytes(one.peakRssBytes),
      gigabytes(one.estimatedBytes),
      `${one.estimatedBytes >= one.peakRssBytes ? '+' : '−'}${Math.abs(100 * (one.estimatedBytes / one.peakRssBytes - 1)).toFixed(0)} %`,
    ]),
  ];
  if (values.page)
    writeSection(
      'memory',
      [
        '## Memory: what each stage takes beside what the machine check says',
        `${circumstances()}. One optimiser step with random weights.`,
        markdownTable(cells),
      ].join('\n\n'),
    );
  process.stdout.write(`${table(cells)}\n`);
  return Promise.resolve();
}

if (import.meta.main) {
  const { values } = parseArgs({ options });
  const { batch, length } = shapes[values.shape]!;
  const found = await measure(
    values.shape,
    values.stage as Stage,
    Number(values.batch ?? batch),
    Number(values.length ?? length),
    values.recompute,
    optimiserSettings.shape.moments.parse(values.moments),
    Number(values.threads),
  );
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
