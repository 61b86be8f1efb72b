/**
 * The language-modelling gap: held-out cross-entropy of a base, of the base trained on in full precision, quantised without training, and of ternary
 * students trained on as many tokens with and without distillation.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type OptimiserSettings, optimiserSettings } from '../../main/contract/recipe.ts';
import { readCorpus } from '../../main/formats/datasets/index.ts';
import { sharedData } from '../../main/testing/shared-data.ts';
import { loadTokenizer } from '../../main/formats/tokenizers/index.ts';
import type { ModelConfiguration } from '../../main/models/configuration.ts';
import { loadParameters, modelConfiguration } from '../../main/models/open-model.ts';
import { Network } from '../../main/models/network.ts';
import { countParameters, type ParameterBuffer } from '../../main/models/parameters.ts';
import { ScoringHead } from '../../main/models/scoring-head.ts';
import { calibrateSubln } from '../../main/pipeline/stages/calibrate-subln.ts';
import { corpusBatches, tokeniseCorpus } from '../../main/pipeline/stages/corpus-tokens.ts';
import { textSha256 } from '../../main/basics/file-digest.ts';
import { learningRateFor } from '../../main/pipeline/inspect/presets.ts';
import { type MicroBatch, TrainingStep } from '../../main/training/training-step.ts';
import { train } from '../../main/training/trainer.ts';

const sequenceLength = 256;
const batchSize = 16;
/** Share of the corpus, from its end, that nothing is trained on. */
const heldOutShare = 0.05;

interface Corpus {
  readonly batches: ReturnType<typeof corpusBatches>;
  readonly heldOut: readonly MicroBatch[];
}

export interface LanguageSettings {
  readonly base: string;
  readonly corpus: string;
  /** For the token cache and checkpoints. */
  readonly workFolder: string;
  readonly tokens: number;
  /** Tokens of the teacher's further training in full precision. */
  readonly teacherTokens: number;
  readonly seed: number;
  readonly threads: number;
  /** Names of students; absent: all. */
  readonly only?: readonly string[];
}

/** Splits the corpus's documents into a training and a held-out file, tokenises both. */
async function openCorpus(settings: LanguageSettings, vocabSize: number): Promise<Corpus> {
  const { base, corpus, workFolder, seed } = settings;
  mkdirSync(workFolder, { recursive: true });
  const documents: string[] = [];
  for await (const { text } of readCorpus(corpus)) documents.push(text);
  const cut = Math.max(1, Math.floor(documents.length * (1 - heldOutShare)));
  const tokenizer = await loadTokenizer(base, { vocabSize });
  const tokenised = async (name: string, texts: readonly string[]) => {
    const path = join(workFolder, `${name}.jsonl`);
    writeFileSync(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    const key = textSha256(JSON.stringify([texts.length, texts[0], texts.at(-1), tokenizer.sha256]));
    return tokeniseCorpus(path, tokenizer, join(workFolder, `${name}.tokens`), Infinity, key, () => Promise.resolve());
  };
  const packing = { sequenceLength, batchSize, microBatchTokens: 4096 };
  const batches = corpusBatches(await tokenised('train', documents.slice(0, cut)), { ...packing, seed });
  const held = corpusBatches(await tokenised('held-out', documents.slice(cut)), { ...packing, seed: 0 });
  const heldOut: MicroBatch[] = [];
  for (let step = 1; step <= held.stepsPerEpoch; step += 1) heldOut.push(...(await held.at(step)));
  await held.close();
  return { batches, heldOut };
}

/** Copies every weight that the source has; a SubLN that only the target has stays. */
function copyWeights(source: ParameterBuffer, target: ParameterBuffer): void {
  for (const { name } of source.specifications) target.view(name).set(source.view(name));
}

/** Mean cross-entropy over the held-out tokens, nats per token. */
async function heldOutCrossEntropy(
  configuration: ModelConfiguration,
  parameters: ParameterBuffer,
  heldOut: readonly MicroBatch[],
  threads: number,
): Promise<number> {
  const network = await Network.create(configuration, parameters, { threads, mode: 'inference' });
  const head = await ScoringHead.create(network, { threads });
  let nll = 0;
  let predicted = 0;
  for (const micro of heldOut) {
    const { hidden } = await network.forward(micro);
    const scores = await head.logProbabilities(hidden, micro.targetPositions, micro.targets, 1);
    for (const score of scores) nll -= score;
    predicted += scores.length;
  }
  await head.release();
  await network.release();
  return nll / predicted;
}

export interface LanguageResult {
  readonly name: string;
  readonly text: string;
  readonly steps: number;
  readonly crossEntropy: number;
}

interface StudentSettings {
  readonly text: string;
  readonly subln: ModelConfiguration['subln'];
  readonly start: 'base' | 'teacher';
  readonly anneal: number;
  /** Share of the steps with soft codes. */
  readonly soften?: number;
  /** Rate of the ternary latents in units of delta. */
  readonly ternaryRate?: number | 'auto';
  /** Null: cross-entropy alone. */
  readonly distil: { readonly tau: number; readonly lambda: number; readonly attention: boolean } | null;
}

const students: Record<string, StudentSettings> = {
  'BitNet training': { text: 'ternary, cross-entropy', subln: 'none', start: 'base', anneal: 0, distil: null },
  'with SubLN': { text: 'SubLN, calibrated', subln: 'paper', start: 'base', anneal: 0, distil: null },
  'BitDistill as published': {
    text: 'SubLN, both terms, tau 5, from the base',
    subln: 'paper',
    start: 'base',
    anneal: 0,
    distil: { tau: 5, lambda: 10, attention: true },
  },
  'from the teacher': {
    text: 'cross-entropy, start from the teacher',
    subln: 'paper',
    start: 'teacher',
    anneal: 0,
    distil: null,
  },
  'from the teacher, annealed': {
    text: 'the same, annealed over half the steps',
    subln: 'paper',
    start: 'teacher',
    anneal: 0.5,
    distil: null,
  },
  BitDistill: {
    text: 'SubLN, both terms, tau 1, lambda 1, from the teacher',
    subln: 'paper',
    start: 'teacher',
    anneal: 0,
    distil: { tau: 1, lambda: 1, attention: true },
  },
  'BitDistill, annealed': {
    text: 'SubLN, both terms, tau 1, lambda 1, from the teacher, annealed',
    subln: 'paper',
    start: 'teacher',
    anneal: 0.5,
    distil: { tau: 1, lambda: 1, attention: true },
  },
  'BitDistill without attention': {
    text: 'not annealed, logits term alone',
    subln: 'paper',
    start: 'teacher',
    anneal: 0,
    distil: { tau: 1, lambda: 1, attention: false },
  },
  'rates in units of delta': {
    text: 'the same, ternary rate auto',
    subln: 'paper',
    start: 'teacher',
    anneal: 0,
    ternaryRate: 'auto',
    distil: { tau: 1, lambda: 1, attention: false },
  },
  'soft codes': {
    text: 'the same, codes soft for four fifths of the steps',
    subln: 'paper',
    start: 'teacher',
    anneal: 0,
    soften: 0.8,
    ternaryRate: 'auto',
    distil: { tau: 1, lambda: 1, attention: false },
  },
  'soft codes at one rate': {
    text: 'the same, one learning rate for all weights',
    subln: 'paper',
    start: 'teacher',
    anneal: 0,
    soften: 0.8,
    distil: { tau: 1, lambda: 1, attention: false },
  },
};

/** All rows of the comparison in order; `onResult` sees each as it is there. */
export async function measureLanguage(
  settings: LanguageSettings,
  onResult: (result: LanguageResult) => void,
): Promise<LanguageResult[]> {
  const { base, threads, tokens, teacherTokens } = settings;
  const configuration = await modelConfiguration(base);
  const { batches, heldOut } = await openCorpus(settings, configuration.vocabSize);
  const optimiser: OptimiserSettings = optimiserSettings.parse({
    learningRate: learningRateFor(countParameters(configuration).total),
    batchSize,
  });
  const stepsOf = (count: number): number => Math.ceil(count / (sequenceLength * batchSize));
  const results: LanguageResult[] = [];
  const add = async (
    name: string,
    text: string,
    steps: number,
    shape: ModelConfiguration,
    parameters: ParameterBuffer,
  ): Promise<void> => {
    const crossEntropy = await heldOutCrossEntropy(shape, parameters, heldOut, threads);
    const result = { name, text, steps, crossEntropy };
    results.push(result);
    onResult(result);
  };
  /** Trains in place. */
  const trained = async (
    shape: ModelConfiguration,
    parameters: ParameterBuffer,
    steps: number,
    student?: StudentSettings,
    teacher?: ParameterBuffer,
  ): Promise<void> => {
    const anneal = student?.anneal ?? 0;
    const soften = student?.soften;
    const network = await Network.create(shape, parameters, {
      threads,
      mode: 'training',
      arithmetic: anneal > 0 || soften !== undefined ? { products: 'float32' } : {},
    });
    const distil = student?.distil;
    const last = configuration.layers - 1;
    const distillation =
      distil && teacher
        ? {
            teacher: await Network.create(configuration, teacher, { threads, mode: 'inference' }),
            lambda: distil.lambda,
            tau: distil.tau,
            tauSquared: false,
            logitsTokens: 'all' as const,
            teacherLayer: last,
            studentLayer: last,
            splitHeads: 'auto' as const,
            gamma: distil.attention ? ('balanced' as const) : 0,
            gammaRatio: 0.5,
            hidden: 0,
          }
        : null;
    const trainingStep = await TrainingStep.create(network, distillation, { threads });
    const { ternaryRate } = student ?? {};
    const settingsOfRun = {
      optimiser: ternaryRate === undefined ? optimiser : { ...optimiser, ternaryRate },
      totalSteps: steps,
      anneal,
      ...(soften === undefined ? {} : { soften }),
    };
    // What decides the run names its checkpoints: an interrupted one goes on, a finished one is not done again.
    const run = textSha256(
      JSON.stringify([settingsOfRun, student, shape, batches.fingerprint, settings.seed, teacherTokens]),
    );
    await train(
      {
        network,
        trainingStep,
        batches,
        ...settingsOfRun,
        checkpoint: { folder: join(settings.workFolder, 'checkpoints', run), steps: 1_000_000, minutes: 5 },
        configuration: run,
      },
      {
        stopRequested: () => null,
        onStep: () => undefined,
        onCheckpoint: () => undefined,
        onWarning: () => undefined,
      },
    );
    await trainingStep.release();
    await distillation?.teacher.release();
    await network.release();
  };

  const original = await loadParameters(base, configuration);
  await add('base', 'full precision, as it was', 0, configuration, original);
  const teacher = await loadParameters(base, configuration);
  await trained(configuration, teacher, stepsOf(teacherTokens));
  await add('teacher', 'full precision, trained on', stepsOf(teacherTokens), configuration, teacher);
  const bare: ModelConfiguration = { ...configuration, ternary: true, subln: 'none' };
  const quantised = await loadParameters(base, bare);
  copyWeights(teacher, quantised);
  await add('quantised without training', 'the teacher, ternary', 0, bare, quantised);
  for (const [name, student] of Object.entries(students)) {
    if (settings.only?.includes(name) === false) continue;
    const shape: ModelConfiguration = { ...configuration, ternary: true, subln: student.subln };
    const source = student.start === 'base' ? original : teacher;
    const parameters = await loadParameters(base, shape);
    copyWeights(source, parameters);
    if (student.subln !== 'none') {
      const dense = await Network.create(configuration, source, { threads, mode: 'inference' });
      await calibrateSubln(parameters, shape, dense, (await batches.at(1)).slice(0, 2));
      await dense.release();
    }
    await trained(shape, parameters, stepsOf(tokens), student, teacher);
    await add(name, student.text, stepsOf(tokens), shape, parameters);
  }
  await batches.close();
  return results;
}

/** Text of the corpus that the language-modelling comparison reads unless told otherwise: lower-cased TinyStories, about a million tokens. */
export const defaultCorpus = sharedData('corpus', 'tinystories', 'tinystories_lower_first85pct.txt');
