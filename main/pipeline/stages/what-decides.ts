/**
 * What of a recipe decides the numbers of a training stage: one list of fields per stage, the stages before it included. A checkpoint is
 * continued where none of these has changed. A new field of the recipe goes into a list here, or into none if no number depends on it. `threads` and
 * `engine` are in none: they change numbers as another processor does, in the last digits (docs/architecture.md, "Engine"). Of a run in shards, which promises the
 * same bits for any number of ranks, `threads` decides too.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type Recipe, recipeSchema } from '../../contract/recipe.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { type ModelConfiguration, plainDecoder } from '../../models/configuration.ts';
import type { BatchSource } from '../../training/batches.ts';

export type Stage = 'finetune' | 'cut' | 'refine' | 'calibrate' | 'reconstruct' | 'pretrain' | 'distil' | 'baseline';

function inside(path: string, names: readonly string[]): string[] {
  return names.map((name) => `${path}.${name}`);
}

const optimiserFields = [
  'learningRate',
  'schedule',
  'warmup',
  'weightDecay',
  'beta1',
  'beta2',
  'epsilon',
  'clipNorm',
  'batchSize',
  'microBatchTokens',
  'moments',
];
/** Of a stage that trains a student. */
const studentOptimiserFields = [...optimiserFields, 'ternaryRate'];
const lengthFields = ['epochs', 'steps'];

/** Which rows are trained on, and which tokens they are. */
const task = inside('task', [
  'kind',
  'train',
  'dev',
  'devFraction',
  'textColumns',
  'labelColumn',
  'template',
  'labelWords',
  'maxLength',
  'maxNewTokens',
  'limit',
  'rules',
  'mergeLabels',
  'unlabelled',
  'groupColumn',
  'timeColumn',
]);
const reading = inside('task.reading', ['sheet', 'devSheet', 'header', 'delimiter', 'quote', 'escape', 'encoding']);
const common = [
  'seed',
  'shards',
  'roundedExchange',
  'roundedProducts',
  'teacher',
  ...task,
  ...reading,
  ...inside('keepBest', ['measure', 'rows', 'everySteps', 'patience']),
];

const finetune = [...common, ...inside('finetune', lengthFields), ...inside('finetune.optimiser', optimiserFields)];
const cut = [...finetune, 'studentBase', 'distil.studentInit', 'cut.layers'];
/** Weights are turned in Stage 1, and by the baseline itself. */
const hadamard = 'quantisation.activations.hadamard';
const refine = [...cut, 'continueTernary', ...inside('refine', ['subln', 'sublnInit', 'dropQkvBias']), hadamard];
/** The stages before the last have 8 bits. */
const activationBits = inside('quantisation.activations', ['bits', 'eightBitShare']);
/** How the weights of student and baseline are quantised. */
const quantisation = inside('quantisation.weights', ['scale', 'group', 'sparsity']);
const calibrate = [...refine, ...quantisation, ...inside('calibrate', ['method', 'rows', 'damping'])];
const reconstruct = [
  ...calibrate,
  ...inside('moreRows', ['file', 'rows']),
  ...inside('teacherWrites', ['rows', 'temperature', 'examples']),
  ...inside('reconstruct', [...lengthFields, 'window', 'soften', 'laterRates', 'corpus', 'tokens', 'sequenceLength']),
  ...inside('reconstruct.optimiser', studentOptimiserFields),
];
const pretrain = [
  ...reconstruct,
  'fixedPointGradients',
  ...inside('pretrain', ['corpus', 'tokens', 'sequenceLength', 'soften']),
  ...inside('pretrain.optimiser', studentOptimiserFields),
];
const distil = [
  ...pretrain,
  ...activationBits,
  ...inside('distil', [
    ...lengthFields,
    'lambda',
    'gamma',
    'gammaRatio',
    'hidden',
    'tau',
    'tauSquared',
    'logitsTokens',
    'tokenWeights',
    'layer',
    'splitHeads',
    'anneal',
    'soften',
    'teacherOnce',
    'teacherTop',
  ]),
  ...inside('distil.optimiser', studentOptimiserFields),
];
/** Starts from the base itself. How many steps it takes depends on Stage 2 too: they stand beside this list in the digest. */
const baseline = [
  ...common,
  'studentBase',
  // Which layers stay is measured on the model that the student starts from.
  ...inside('cut', ['layers']),
  // As many steps as the student takes.
  ...inside('moreRows', ['file', 'rows']),
  ...inside('teacherWrites', ['rows', 'temperature', 'examples']),
  'refine.dropQkvBias',
  ...quantisation,
  hadamard,
  ...activationBits,
  'fixedPointGradients',
  ...inside('distil', lengthFields),
  ...inside('distil.optimiser', studentOptimiserFields),
];

/** Fields by stage, as paths from the recipe's root. */
export const decidingFields: Readonly<Record<Stage, readonly string[]>> = {
  finetune,
  cut,
  refine,
  calibrate,
  reconstruct,
  pretrain,
  distil,
  baseline,
};

function fieldSchema(path: string): z.ZodType {
  let schema: z.ZodType = recipeSchema;
  for (const name of path.split('.')) {
    while (schema instanceof z.ZodNullable || schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
      schema = schema.unwrap() as z.ZodType;
    const next = schema instanceof z.ZodObject ? (schema.shape as Record<string, z.ZodType>)[name] : undefined;
    if (next === undefined) throw new Error(`The recipe has no field ${path}.`);
    schema = next;
  }
  return schema;
}

function valueAt(recipe: Recipe, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((at, name) => (at as Record<string, unknown> | null | undefined)?.[name], recipe);
}

/**
 * The fields that decide a stage's numbers, by path. One that has the value it would have if it were not written is left out, so that a
 * field which is added to the recipe later, with a default, changes nothing for the recipes of before.
 */
export function decides(stage: Stage, recipe: Recipe): Readonly<Record<string, unknown>> {
  const fields = [...decidingFields[stage], ...(recipe.shards === undefined ? [] : ['threads'])];
  return Object.fromEntries(
    fields.toSorted().flatMap((path) => {
      const value = valueAt(recipe, path);
      const unwritten = fieldSchema(path).safeParse(undefined);
      const same = value === undefined || (unwritten.success && isDeepStrictEqual(unwritten.data, value));
      return same ? [] : [[path, value]];
    }),
  );
}

/** A stage's training as far as it decides what comes out. */
export interface DecidedTraining {
  readonly job: Exclude<Stage, 'cut' | 'refine'>;
  readonly recipe: Recipe;
  /** The model that is trained. */
  readonly configuration: ModelConfiguration;
  readonly batches: Pick<BatchSource, 'fingerprint'>;
  /** Optimiser steps of the whole stage. */
  readonly totalSteps: number;
}

/** Fields of a model's shape that version 0.1.0 knew, in its order. */
const firstShape = [
  'architecture',
  'vocabSize',
  'hiddenSize',
  'layers',
  'heads',
  'kvHeads',
  'headSize',
  'ffnSize',
  'rmsNormEpsilon',
  'ropeTheta',
  'ropeScaling',
  'maxPositions',
  'tiedEmbeddings',
  'qkvBias',
  'qkNorm',
  'ternary',
  'subln',
] as const satisfies (keyof ModelConfiguration)[];

/**
 * The shape as that version wrote it, and of the fields that came later those in which the model differs from a plain decoder: a field that is added
 * to shapes changes nothing for the checkpoints of before.
 */
function decidingShape(configuration: ModelConfiguration): Record<string, unknown> {
  const { ropeScaling, qkNorm } = configuration;
  const first = Object.fromEntries(firstShape.map((name) => [name, configuration[name]]));
  const { kind, ...scaling } = ropeScaling ?? { kind: null };
  const later = Object.entries(configuration).filter(
    ([name, value]) =>
      !(firstShape as readonly string[]).includes(name) &&
      !isDeepStrictEqual(value, (plainDecoder as Partial<Record<string, unknown>>)[name]),
  );
  return {
    ...first,
    ropeScaling: kind === 'llama3' ? scaling : ropeScaling,
    qkNorm: qkNorm === 'projection' ? qkNorm : qkNorm === 'head',
    ...Object.fromEntries(later),
  };
}

/** Digest of everything that decides the result of a stage: a checkpoint of another one is not continued. */
export function trainingDigest({ job, recipe, totalSteps, configuration, batches }: DecidedTraining): string {
  const data = batches.fingerprint;
  const shape = decidingShape(configuration);
  return textSha256(JSON.stringify({ job, decides: decides(job, recipe), totalSteps, configuration: shape, data }));
}

/** The digest that version 0.1.0 wrote: nearly the whole recipe. Its checkpoints are still continued. */
export function trainingDigest010({ job, recipe, totalSteps, configuration, batches }: DecidedTraining): string {
  const deciding = { ...recipe, name: '', exports: [], threads: 0, engine: undefined, checkpoint: null };
  const shape = decidingShape(configuration);
  return textSha256(JSON.stringify({ job, deciding, totalSteps, configuration: shape, data: batches.fingerprint }));
}
