/**
 * Calibration, between Stage 1 and the stages that train (docs/method.md, 3.2): layer by layer, the student's first codes are GPTQ's or AWQ's, chosen with the task's
 * own rows. Memory holds one layer; hidden states lie in files. A layer that is done lies in a file too, so that a stopped job goes on after it.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobResults } from '../../contract/job-results.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { CalibrateSettings } from '../../contract/recipe.ts';
import { calibratedLayersFolder, hiddenStatesFolder, modelFolder } from '../../experiment/folder.ts';
import { openSafetensors } from '../../formats/safetensors/index.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { Network } from '../../models/network.ts';
import { ParameterBuffer } from '../../models/parameters.ts';
import { startLearnedScales } from '../../models/ternary-weights.ts';
import { groupsOfRows } from '../../training/batches.ts';
import { HiddenFile } from '../../training/hidden-file.ts';
import {
  calibratedTokens,
  type CalibrationBatch,
  inFullPrecision,
  LayerCalibration,
} from '../../training/layer-calibration.ts';
import { relativeError } from '../../training/relative-error.ts';
import { type JobContext, JobStopped } from '../job.ts';
import { choosingRows, earlierStudent } from '../models-of-recipe.ts';
import { taskRows } from '../task/task-batches.ts';
import { embedRows, type Layers, loadWindow, saveWindows, windowConfiguration, writeWindow } from './layer-windows.ts';
import { trainingDigest } from './what-decides.ts';

export async function calibrateStudent(spec: JobSpec, context: JobContext): Promise<JobResults['calibrate']> {
  const settings = spec.recipe.calibrate;
  if (!settings) return { layers: 0, before: 0, error: 0 };
  const configuration = await earlierStudent(spec.recipe, spec.folder);
  const { rows } = await taskRows(spec, context, (read) =>
    context.emit({ type: 'progress', done: 0, total: 1, unit: 'layers', resumed: 0, note: `${read} rows read` }),
  );
  const trained = rows.lengths.length - choosingRows(spec.recipe, rows.lengths.length);
  const lengths = rows.lengths.subarray(0, Math.min(settings.rows, trained));
  // Layers of another calibration are not gone on from.
  const digest = trainingDigest({
    job: 'calibrate',
    recipe: spec.recipe,
    configuration,
    batches: { fingerprint: rows.fingerprint },
    totalSteps: lengths.length,
  });
  const calibration = new Calibration(spec, context, configuration, settings, lengths, digest);
  try {
    await mkdir(calibration.layersFolder, { recursive: true });
    await mkdir(hiddenStatesFolder(spec.folder), { recursive: true });
    const result = await calibration.run({ lengths, read: async (row) => (await rows.read(row)).ids });
    await rm(calibratedLayersFolder(spec.folder), { recursive: true, force: true });
    return result;
  } finally {
    await calibration.close();
    await rows.close();
  }
}

class Calibration {
  /** Holds a file for each layer that is done. */
  readonly layersFolder: string;
  readonly #spec: JobSpec;
  readonly #context: JobContext;
  readonly #configuration: ModelConfiguration;
  readonly #settings: CalibrateSettings;
  readonly #lengths: Int32Array;
  /** Rows that are computed together. */
  readonly #groups: number[][];
  readonly #refined: string;
  #open: HiddenFile[] = [];
  #done = 0;
  #resumed = 0;

  constructor(
    spec: JobSpec,
    context: JobContext,
    configuration: ModelConfiguration,
    settings: CalibrateSettings,
    lengths: Int32Array,
    digest: string,
  ) {
    this.layersFolder = join(calibratedLayersFolder(spec.folder), digest.slice(0, 16));
    this.#spec = spec;
    this.#context = context;
    this.#configuration = configuration;
    this.#settings = settings;
    this.#lengths = lengths;
    this.#groups = groupsOfRows([...lengths.keys()], (row) => lengths[row]!, calibratedTokens);
    this.#refined = modelFolder(spec.folder, 'refined');
  }

  async run(rows: { lengths: Int32Array; read(row: number): Promise<Int32Array> }): Promise<JobResults['calibrate']> {
    const { layers } = this.#configuration;
    let inputs = await this.#create('calibrated-0');
    await embedRows(this.#refined, this.#configuration, rows, inputs, async (row) => {
      if (row % 1000 === 0) await this.#pauseOrGoOn();
    });
    const sums = { before: 0, error: 0 };
    for (let layer = 0; layer < layers; layer += 1) {
      const outputs = await this.#create(`calibrated-${layer + 1}`);
      const { before, error } = await this.#layer({ first: layer, count: 1 }, inputs, outputs);
      sums.before += before;
      sums.error += error;
      await this.#discard(inputs);
      inputs = outputs;
      this.#done += 1;
      this.#context.emit({
        type: 'metrics',
        step: this.#done,
        values: { 'rounding-error': error, 'rounding-error-absmean': before },
      });
    }
    await saveWindows(this.#context, this.#spec.folder, 'calibrated', this.#refined, this.#configuration, (layer) =>
      this.#pathOf(layer),
    );
    await this.#pauseOrGoOn();
    return { layers, before: sums.before / layers, error: sums.error / layers };
  }

  async close(): Promise<void> {
    for (const file of [...this.#open]) await this.#discard(file);
  }

  async #create(name: string): Promise<HiddenFile> {
    const path = join(hiddenStatesFolder(this.#spec.folder), `${name}.f32`);
    const file = await HiddenFile.create(path, this.#configuration.hiddenSize, this.#lengths);
    this.#open.push(file);
    return file;
  }

  async #discard(file: HiddenFile): Promise<void> {
    this.#open = this.#open.filter((each) => each !== file);
    await file.remove();
  }

  #pathOf(layer: number): string {
    return join(this.layersFolder, `layer-${layer}.safetensors`);
  }

  /** Obeys a stop; the layers that are done are saved. */
  async #pauseOrGoOn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    const request = this.#context.stopRequested();
    if (request) throw new JobStopped(request, this.#done);
    const { layers } = this.#configuration;
    this.#context.emit({
      type: 'progress',
      done: this.#done,
      total: layers,
      unit: 'layers',
      resumed: this.#resumed,
      ...(this.#done < layers ? { note: `layer ${this.#done + 1} of ${layers}` } : {}),
    });
  }

  async *#batches(from: HiddenFile): AsyncGenerator<CalibrationBatch & { readonly rows: readonly number[] }> {
    for (const rows of this.#groups) {
      await this.#pauseOrGoOn();
      const lengths = rows.map((row) => this.#lengths[row]!);
      const length = Math.max(...lengths);
      yield { rows, lengths, length, hidden: await from.readPadded(rows, length) };
    }
  }

  /** Calibrates a layer, or finds it calibrated, and runs all rows through it. @returns its errors: with absmean's codes, and with the chosen ones */
  async #layer(layer: Layers, inputs: HiddenFile, outputs: HiddenFile): Promise<{ before: number; error: number }> {
    const ternary = windowConfiguration(this.#configuration, layer);
    const options = { threads: this.#spec.recipe.threads, mode: 'inference' } as const;
    const refined = await loadWindow(this.#refined, this.#configuration, layer);
    const dense = await Network.create({ ...ternary, ternary: false }, inFullPrecision(refined), options);
    const targets = await this.#create(`calibrated-${layer.first}-targets`);
    try {
      await this.#through(dense, inputs, targets, null);
      const before = await this.#error(ternary, refined, inputs, targets, null);
      const student = new ParameterBuffer(refined.specifications, Float32Array.from(refined.values));
      const path = this.#pathOf(layer.first);
      if (existsSync(path)) {
        await readWindow(path, student);
        this.#resumed += 1;
      } else {
        await new LayerCalibration(dense, student, ternary, this.#settings, () => this.#batches(inputs)).run();
        // Absmean gives the chosen scales back, and learned ones start there.
        startLearnedScales(student);
        await writeWindow(path, student);
      }
      return { before, error: await this.#error(ternary, student, inputs, targets, outputs) };
    } finally {
      await dense.release();
      await this.#discard(targets);
    }
  }

  /** Relative error of a ternary layer. @param outputs receives what leaves it; null: nobody wants that */
  async #error(
    configuration: ModelConfiguration,
    parameters: ParameterBuffer,
    inputs: HiddenFile,
    targets: HiddenFile,
    outputs: HiddenFile | null,
  ): Promise<number> {
    const network = await Network.create(configuration, parameters, {
      threads: this.#spec.recipe.threads,
      mode: 'inference',
    });
    try {
      return await this.#through(network, inputs, outputs, targets);
    } finally {
      await network.release();
    }
  }

  /** Runs all rows through a layer. @returns their mean relative error, where targets are given */
  async #through(
    network: Network,
    inputs: HiddenFile,
    outputs: HiddenFile | null,
    targets: HiddenFile | null,
  ): Promise<number> {
    let error = 0;
    let tokens = 0;
    for await (const { rows, lengths, length, hidden: entering } of this.#batches(inputs)) {
      const { hidden } = await network.forward({ hidden: entering, batch: rows.length, length });
      const width = this.#configuration.hiddenSize;
      if (outputs !== null)
        for (const [at, row] of rows.entries()) await outputs.write(row, hidden.subarray(at * length * width));
      if (targets === null) continue;
      const wanted = await targets.readPadded(rows, length);
      const batch = { batch: rows.length, length, lengths, targets: wanted };
      error += relativeError(hidden, batch, 1, new Float32Array(wanted.length));
      tokens += lengths.reduce((a, b) => a + b, 0);
    }
    return targets === null ? 0 : error / tokens;
  }
}

/** Fills `parameters` from a file of `writeWindow`. */
async function readWindow(path: string, parameters: ParameterBuffer): Promise<void> {
  const file = await openSafetensors(path);
  try {
    for (const { name } of parameters.specifications) await file.readFloat32(name, parameters.view(name));
  } finally {
    await file.close();
  }
}
