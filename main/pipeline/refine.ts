/** Stage 1, refine: inserts SubLN and turns the linear layers into BitLinears (Eq. 4-5). */
import type { JobSpec } from '../contract/jobs.ts';
import { hasSubln, type ModelConfiguration, type Projection } from '../models/configuration.ts';
import { loadParameters, readFolderConfiguration, saveModelFolder } from '../models/model-folder.ts';
import { Network } from '../models/network.ts';
import type { ParameterBuffer } from '../models/parameters.ts';
import type { MicroBatch } from '../training/training-step.ts';
import { microBatches } from '../training/batches.ts';
import { describeArtifact, modelFolder, teacherFolder } from './experiment-folder.ts';
import type { JobContext } from './job.ts';
import { recipeTokenizer, studentConfiguration, studentSource } from './models-of-recipe.ts';
import { prepareTask } from './task-data.ts';

/** Rows that calibration looks at. */
const calibrationRows = 64;

/** Mean root mean square of what enters each projection over the valid tokens, keyed `layer.projection`. */
async function projectionScales(network: Network, batches: readonly MicroBatch[]): Promise<Map<string, number>> {
  const sums = new Map<string, { total: number; tokens: number }>();
  for (const micro of batches)
    await network.forward(micro, undefined, (layer, inputs) => {
      for (const [projection, values] of inputs) {
        const width = values.length / (micro.batch * micro.length);
        const sum = sums.get(`${layer}.${projection}`) ?? { total: 0, tokens: 0 };
        micro.lengths.forEach((valid, row) => {
          for (let token = 0; token < valid; token += 1) {
            const start = (row * micro.length + token) * width;
            let squares = 0;
            for (let index = start; index < start + width; index += 1) squares += values[index]! ** 2;
            sum.total += Math.sqrt(squares / width);
          }
          sum.tokens += valid;
        });
        sums.set(`${layer}.${projection}`, sum);
      }
    });
  return new Map([...sums].map(([key, { total, tokens }]) => [key, total / tokens]));
}

/** Sets every SubLN weight to the scale of the activations at its place, so that the model changes as little as a norm allows. */
function calibrate(
  parameters: ParameterBuffer,
  configuration: ModelConfiguration,
  scales: ReadonlyMap<string, number>,
): void {
  for (const { name, local, layer } of parameters.specifications) {
    if (!local.endsWith('.subln')) continue;
    const projection = local.slice(0, -'.subln'.length) as Projection;
    if (hasSubln(configuration, projection)) parameters.view(name).fill(scales.get(`${layer}.${projection}`) ?? 1);
  }
}

export async function refineStudent({ recipe, folder }: JobSpec, context: JobContext): Promise<{ norms: number }> {
  const configuration = await studentConfiguration(recipe);
  const source = studentSource(recipe, teacherFolder(folder, recipe));
  const parameters = await loadParameters(source, configuration);
  const norms = parameters.specifications.filter(({ local }) => local.endsWith('.subln')).length;
  context.emit({ type: 'progress', done: 0, total: 1, unit: 'models', resumed: 0 });
  if (norms > 0 && recipe.refine.sublnInit === 'calibrated') {
    const teacher = await readFolderConfiguration(recipe.teacher);
    const tokenizer = await recipeTokenizer(recipe, teacher);
    const task = await prepareTask({ ...recipe.task, limit: calibrationRows }, tokenizer, recipe.seed);
    const dense: ModelConfiguration = { ...configuration, ternary: false, subln: 'none' };
    const network = await Network.create(dense, await loadParameters(source, dense), {
      threads: recipe.threads,
      mode: 'inference',
    });
    calibrate(parameters, configuration, await projectionScales(network, microBatches(task.train, 4096)));
    await network.release();
  }
  await saveModelFolder(modelFolder(folder, 'refined'), source, configuration, parameters);
  context.emit({
    type: 'artifact',
    artifact: await describeArtifact(folder, 'refined', 'refined/model.safetensors'),
  });
  context.emit({ type: 'progress', done: 1, total: 1, unit: 'models', resumed: 0 });
  return { norms };
}
