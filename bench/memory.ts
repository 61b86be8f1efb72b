/**
 * `npm run bench -- memory [--shape demo|0.6b] [--batch N] [--length N] [--recompute] [--threads N]`: one distillation step
 * (teacher and student of the shape, random weights, balanced gamma, AdamW) in a process of its own; its peak resident memory and its time.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { optimiserSettings } from '../main/contract/recipe.ts';
import type { ModelConfiguration } from '../main/models/configuration.ts';
import { initialParameters } from '../main/models/initial-parameters.ts';
import { Network } from '../main/models/network.ts';
import { countParameters, ParameterBuffer } from '../main/models/parameters.ts';
import { packMicroBatch } from '../main/training/batches.ts';
import { AdamW } from '../main/training/optimiser.ts';
import { Random } from '../main/training/random.ts';
import { TrainingStep } from '../main/training/training-step.ts';
import { distillationBytes } from '../main/workbench/memory-estimate.ts';
import { table } from './table.ts';

const qwen3 = {
  architecture: 'qwen3',
  rmsNormEpsilon: 1e-6,
  ropeTheta: 1e6,
  ropeScaling: null,
  maxPositions: 40_960,
  tiedEmbeddings: true,
  qkvBias: false,
  qkNorm: true,
  ternary: false,
  subln: 'none',
} as const;

const shapes: Record<string, ModelConfiguration> = {
  demo: { ...qwen3, vocabSize: 1536, hiddenSize: 128, layers: 4, heads: 4, kvHeads: 2, headSize: 32, ffnSize: 384 },
  '0.6b': {
    ...qwen3,
    vocabSize: 151_936,
    hiddenSize: 1024,
    layers: 28,
    heads: 16,
    kvHeads: 8,
    headSize: 128,
    ffnSize: 3072,
  },
};

interface Measured {
  shape: string;
  parameters: number;
  batch: number;
  length: number;
  recompute: boolean;
  stepSeconds: number;
  peakRssBytes: number;
  estimatedBytes: number;
  loss: number;
}

/** Runs in the child: allocates, makes one step, reports. */
async function measure(
  shape: string,
  batch: number,
  length: number,
  recompute: boolean,
  threads: number,
): Promise<Measured> {
  const base = shapes[shape]!;
  const random = new Random(1);
  // Uniform numbers of the same deviation: 600 million normal ones would take longer than the step.
  const spread = (): number => (random.uniform() - 0.5) * Math.sqrt(12);
  const teacher = await Network.create(base, initialParameters(base, spread), { threads, mode: 'inference' });
  const ternary: ModelConfiguration = { ...base, ternary: true, subln: 'paper' };
  const student = await Network.create(ternary, initialParameters(ternary, spread), {
    threads,
    mode: 'training',
    recomputeActivations: recompute,
  });
  const step = await TrainingStep.create(
    student,
    {
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
    },
    { threads },
  );
  const gradients = new ParameterBuffer(student.parameters.specifications);
  const optimiser = new AdamW(student.parameters, optimiserSettings.parse({ learningRate: 1e-5 }));
  const rows = Array.from({ length: batch }, () => ({
    ids: Int32Array.from({ length }, () => random.below(base.vocabSize)),
    responseStart: length - 8,
  }));
  const started = performance.now();
  const losses = await step.run(1, [packMicroBatch(rows)], gradients);
  optimiser.step(gradients, 1, 1e-5);
  student.refreshTernary();
  const { total } = countParameters(base);
  return {
    shape,
    parameters: total,
    batch,
    length,
    recompute,
    stepSeconds: (performance.now() - started) / 1000,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    estimatedBytes: distillationBytes(
      { ...base, name: shape, parameters: total, headDim: base.headSize },
      batch * length,
      length,
      recompute,
    ),
    loss: losses.total,
  };
}

const options = {
  shape: { type: 'string', default: '0.6b' },
  batch: { type: 'string', default: '4' },
  length: { type: 'string', default: '128' },
  threads: { type: 'string', default: '0' },
  recompute: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options });
  if (shapes[values.shape] === undefined)
    throw new Error(`unknown shape ${values.shape}; known are ${Object.keys(shapes).join(', ')}`);
  const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.status !== 0) throw new Error(`the measured process ended with ${child.signal ?? child.status}`);
  if (values.json) {
    process.stdout.write(child.stdout);
    return;
  }
  const found = JSON.parse(child.stdout) as Measured;
  const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(2);
  process.stdout.write(
    `${table([
      ['shape', 'parameters', 'batch x length', 'recompute', 'step s', 'peak RSS GB', 'estimate GB'],
      [
        found.shape,
        `${(found.parameters / 1e6).toFixed(1)} M`,
        `${found.batch} x ${found.length}`,
        found.recompute ? 'yes' : 'no',
        found.stepSeconds.toFixed(1),
        gigabytes(found.peakRssBytes),
        gigabytes(found.estimatedBytes),
      ],
    ])}\n`,
  );
}

if (import.meta.main) {
  const { values } = parseArgs({ options });
  const found = await measure(
    values.shape,
    Number(values.batch),
    Number(values.length),
    values.recompute,
    Number(values.threads),
  );
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
