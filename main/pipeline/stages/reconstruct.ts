/**
 * Window reconstruction, between Stage 1 and Stage 2 (docs/method.md, 3.1): a few layers of the student at a time learn to give what the full-precision
 * model's layers give, from what the ternary layers before them give. Memory holds one window; hidden states of all rows lie in files.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { textSha256 } from '../../basics/file-digest.ts';
import type { JobResults } from '../../contract/job-results.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import { parseLayerMetric } from '../../contract/metric-names.ts';
import { checkpointFolder, hiddenStatesFolder } from '../../experiment/folder.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import { groupsOfRows, shuffledBatches } from '../../training/batches.ts';
import { type Collective, isRoot, meet, rootFirst } from '../../training/collective.ts';
import { HiddenFile } from '../../training/hidden-file.ts';
import { relativeError } from '../../training/relative-error.ts';
import { train } from '../../training/trainer.ts';
import { type WindowBatch, WindowStep } from '../../training/window-step.ts';
import { assertLayer, engineOf } from '../engine.ts';
import { collectiveOf, type JobContext, JobStopped, shardsOf } from '../job.ts';
import { stageSource, stageSteps, earlierStudent, studentSource } from '../models-of-recipe.ts';
import { embedRows, loadWindow, saveWindows, windowConfiguration, writeWindow } from './layer-windows.ts';
import { type ReconstructionRows, reconstructionRows } from './reconstruction-rows.ts';
import { type RanksTold, tellRanks } from './ranks-told.ts';
import { assertSameStart } from './stage-training.ts';
import { trainingDigest } from './what-decides.ts';

/** Layers of the model that are trained together. */
interface Window {
  readonly index: number;
  readonly first: number;
  readonly count: number;
}

export function windowsOf({ layers }: ModelConfiguration, size: number): Window[] {
  return Array.from({ length: Math.ceil(layers / size) }, (_, index) => ({
    index,
    first: index * size,
    count: Math.min(size, layers - index * size),
  }));
}

export async function reconstructStudent(spec: JobSpec, context: JobContext): Promise<JobResults['reconstruct']> {
  const settings = spec.recipe.reconstruct;
  if (!settings) return { steps: 0, windows: 0, error: 0 };
  const configuration = await earlierStudent(spec.recipe, spec.folder);
  const collective = collectiveOf(context);
  const rows = await rootFirst(collective, () => reconstructionRows(spec, settings, context));
  const states = hiddenStatesFolder(spec.folder);
  await mkdir(ownStates(spec.folder, collective), { recursive: true });
  const reconstruction = new Reconstruction(spec, context, configuration, rows);
  try {
    const result = await reconstruction.run();
    await meet(collective);
    if (isRoot(collective)) await rm(states, { recursive: true, force: true });
    return result;
  } finally {
    await reconstruction.close();
    await rows.close();
  }
}

/** Each rank has the hidden states of all rows in files of its own: those of others may be on another machine's disk or in its cache. */
function ownStates(folder: string, { rank }: Collective): string {
  const states = hiddenStatesFolder(folder);
  return rank === 0 ? states : join(states, `rank-${rank}`);
}

class Reconstruction {
  readonly #spec: JobSpec;
  readonly #context: JobContext;
  readonly #ranks: RanksTold;
  readonly #collective: Collective;
  readonly #settings: NonNullable<JobSpec['recipe']['reconstruct']>;
  readonly #configuration: ModelConfiguration;
  readonly #rows: ReconstructionRows;
  readonly #windows: Window[];
  /** Optimiser steps of one window. */
  readonly #steps: number;
  readonly #source: string;
  /** Rows in groups that are computed together. */
  readonly #groups: number[][];
  #open: HiddenFile[] = [];
  /** Steps that are finished, and those of them that an earlier session took. */
  #done = 0;
  #computedOn: string[] | undefined;
  #resumed = 0;

  constructor(spec: JobSpec, context: JobContext, configuration: ModelConfiguration, rows: ReconstructionRows) {
    const settings = spec.recipe.reconstruct!;
    const { batchSize, microBatchTokens } = settings.optimiser;
    this.#spec = spec;
    this.#context = context;
    this.#ranks = tellRanks(context, spec.folder, 'reconstruct');
    this.#collective = collectiveOf(context);
    this.#settings = settings;
    this.#configuration = configuration;
    this.#rows = rows;
    this.#windows = windowsOf(configuration, settings.window);
    this.#steps = stageSteps(settings, Math.ceil(rows.lengths.length / batchSize));
    this.#source = stageSource(spec.recipe, spec.folder, 'reconstruct');
    this.#groups = this.#grouped([...rows.lengths.keys()], microBatchTokens);
  }

  async run(): Promise<JobResults['reconstruct']> {
    const { recipe, folder } = this.#spec;
    const source = studentSource(recipe, folder);
    const dense = await modelConfiguration(source);
    let inputs = await this.#embedded('student-0');
    let teacher = await this.#embedded('teacher-0');
    let error = 0;
    for (const window of this.#windows) {
      const targets = await this.#throughTeacher(source, dense, window, teacher);
      await this.#discard(teacher);
      const trained = await this.#trained(window, inputs, targets);
      try {
        const outputs = await this.#create(`student-${window.index + 1}`);
        error = await this.#through(trained, inputs, outputs, targets);
        await this.#discard(inputs);
        [inputs, teacher] = [outputs, targets];
        if (isRoot(this.#collective)) await writeWindow(this.#windowPath(window.index), trained.parameters);
      } finally {
        await trained.release();
      }
      this.#context.emit({ type: 'metrics', step: this.#done, values: { 'window-error': error } });
    }
    if (isRoot(this.#collective))
      await saveWindows(this.#context, folder, 'reconstructed', this.#source, this.#configuration, (layer) =>
        this.#windowPath(Math.floor(layer / this.#settings.window)),
      );
    return {
      steps: this.#done,
      windows: this.#windows.length,
      error,
      ...(this.#computedOn && { computedOn: this.#computedOn }),
    };
  }

  async close(): Promise<void> {
    for (const file of [...this.#open]) await this.#discard(file);
  }

  async #create(name: string): Promise<HiddenFile> {
    const path = join(ownStates(this.#spec.folder, this.#collective), `${name}.f32`);
    const file = await HiddenFile.create(path, this.#configuration.hiddenSize, this.#rows.lengths);
    this.#open.push(file);
    return file;
  }

  async #discard(file: HiddenFile): Promise<void> {
    this.#open = this.#open.filter((each) => each !== file);
    await file.remove();
  }

  #windowPath(index: number): string {
    return join(hiddenStatesFolder(this.#spec.folder), `window-${index}.safetensors`);
  }

  #grouped(rows: readonly number[], microBatchTokens: number): number[][] {
    return groupsOfRows(rows, (row) => this.#rows.lengths[row]!, microBatchTokens);
  }

  #longest(group: readonly number[]): number {
    return group.reduce((most, row) => Math.max(most, this.#rows.lengths[row]!), 0);
  }

  /** Obeys a stop; what was trained so far is saved. */
  async #pauseOrGoOn(note: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const request = this.#context.stopRequested();
    if (request) throw new JobStopped(request, this.#done);
    this.#progress(note);
  }

  #progress(note?: string): void {
    this.#context.emit({
      type: 'progress',
      done: this.#done,
      total: this.#steps * this.#windows.length,
      unit: 'steps',
      resumed: this.#resumed,
      ...(note === undefined ? {} : { note }),
    });
  }

  /** What enters the first layer. */
  async #embedded(name: string): Promise<HiddenFile> {
    const file = await this.#create(name);
    await embedRows(this.#source, this.#configuration, this.#rows, file, async (row) => {
      if (row % 1000 === 0) await this.#pauseOrGoOn(`${row} rows read`);
    });
    return file;
  }

  async #throughTeacher(
    source: string,
    dense: ModelConfiguration,
    { index, first, count }: Window,
    inputs: HiddenFile,
  ): Promise<HiddenFile> {
    const parameters = await loadWindow(source, dense, { first, count });
    const network = await Network.create(windowConfiguration(dense, { first, count }), parameters, {
      ...(await engineOf(this.#spec.recipe, this.#context)).options,
      mode: 'inference',
    });
    try {
      const outputs = await this.#create(`teacher-${index + 1}`);
      await this.#through(network, inputs, outputs);
      return outputs;
    } finally {
      await network.release();
    }
  }

  /** Runs all rows through some layers, each rank some groups of them. @returns their mean relative error, where targets are given */
  async #through(
    network: Network,
    inputs: HiddenFile,
    outputs: HiddenFile,
    targets: HiddenFile | null = null,
  ): Promise<number> {
    const width = this.#configuration.hiddenSize;
    const { rank, size } = this.#collective;
    let error = 0;
    let tokens = 0;
    for (let first = 0; first < this.#groups.length; first += size) {
      await this.#pauseOrGoOn('hidden states');
      const groups = this.#groups.slice(first, first + size);
      const own = groups[rank];
      let states: Float32Array | null = null;
      if (own !== undefined) {
        const length = this.#longest(own);
        const entering = await inputs.readPadded(own, length);
        const { hidden } = await network.forward({ batch: own.length, length, hidden: entering });
        states = hidden.subarray(0, entering.length);
      }
      for (const [from, group] of groups.entries()) {
        const length = this.#longest(group);
        const found = from === rank ? states! : new Float32Array(group.length * length * width);
        await this.#collective.broadcast(new Uint8Array(found.buffer, found.byteOffset, found.byteLength), from);
        for (const [at, row] of group.entries()) await outputs.write(row, found.subarray(at * length * width));
        if (!targets) continue;
        const lengths = group.map((row) => this.#rows.lengths[row]!);
        const batch = { batch: group.length, length, lengths, targets: await targets.readPadded(group, length) };
        error += relativeError(found, batch, 1, new Float32Array(batch.targets.length));
        tokens += lengths.reduce((a, b) => a + b, 0);
      }
    }
    return targets ? error / tokens : 0;
  }

  /** Trains a window, or finds it trained. @returns it with hard codes, to be released */
  async #trained(window: Window, inputs: HiddenFile, targets: HiddenFile): Promise<Network> {
    const { recipe, folder } = this.#spec;
    const { optimiser, soften } = this.#settings;
    const { first, count } = window;
    const configuration = windowConfiguration(this.#configuration, window);
    const engine = await engineOf(recipe, this.#context);
    const { options, computesOn } = engine;
    const arithmetic = { products: 'float32' } as const;
    await assertLayer(configuration, engine, arithmetic);
    const network = await Network.create(configuration, await loadWindow(this.#source, this.#configuration, window), {
      ...options,
      mode: 'training',
      recomputeActivations: recipe.recomputeActivations,
      roundedProducts: recipe.roundedProducts ?? false,
      arithmetic,
    });
    const fingerprint = textSha256(JSON.stringify([this.#rows.fingerprint, first, count]));
    const before = this.#done;
    const digest = trainingDigest({
      job: 'reconstruct',
      recipe,
      configuration,
      batches: { fingerprint },
      totalSteps: this.#steps,
    });
    try {
      await assertSameStart(this.#collective, digest, network.parameters);
      const result = await train<WindowBatch>(
        {
          network,
          trainingStep: new WindowStep(network),
          batches: shuffledBatches(
            { lengths: this.#rows.lengths, fingerprint },
            { batchSize: optimiser.batchSize, seed: recipe.seed },
            async (rows) => {
              const batches: WindowBatch[] = [];
              for (const group of this.#grouped([...rows], optimiser.microBatchTokens))
                batches.push(await this.#batch(group, inputs, targets));
              return batches;
            },
          ),
          optimiser,
          totalSteps: this.#steps,
          soften,
          checkpoint: {
            folder: join(checkpointFolder(folder, 'reconstruct'), `window-${window.index}`),
            ...recipe.checkpoint,
          },
          ...(computesOn === undefined ? {} : { computesOn }),
          ...shardsOf(recipe, this.#context),
          configuration: digest,
        },
        {
          stopRequested: () => this.#context.stopRequested(),
          onResumed: (step) => {
            this.#resumed += step;
          },
          onStep: ({ step, values }) => {
            this.#done = before + step;
            // Maps of the layers over time belong to stages in which all layers train at once.
            const ofAll = Object.entries(values).filter(([name]) => parseLayerMetric(name) === null);
            this.#context.emit({ type: 'metrics', step: this.#done, values: Object.fromEntries(ofAll) });
            this.#progress(`layers ${first + 1} to ${first + count} of ${this.#configuration.layers}`);
          },
          onCheckpoint: (step, path) => this.#context.emit({ type: 'checkpoint', step: before + step, path }),
          onWarning: (text) => this.#context.emit({ type: 'log', level: 'warning', text }),
          onShared: (shared) => {
            this.#ranks.hear(shared);
          },
        },
      );
      this.#ranks.end();
      this.#done = before + result.step;
      this.#computedOn = result.computedOn ?? this.#computedOn;
      if (result.outcome !== 'done') throw new JobStopped(result.outcome, this.#done);
      return network;
    } catch (thrown) {
      await network.release();
      throw thrown;
    }
  }

  async #batch(group: number[], inputs: HiddenFile, targets: HiddenFile): Promise<WindowBatch> {
    const length = this.#longest(group);
    return {
      batch: group.length,
      length,
      lengths: group.map((row) => this.#rows.lengths[row]!),
      inputs: await inputs.readPadded(group, length),
      targets: await targets.readPadded(group, length),
    };
  }
}
