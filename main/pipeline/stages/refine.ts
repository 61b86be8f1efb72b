/** Stage 1, refine: inserts SubLN and turns the linear layers into BitLinears (Eq. 4-5). */
import type { JobSpec } from '../../contract/jobs.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { loadParameters } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import { type Example, microBatches } from '../../training/batches.ts';
import { calibrateSubln } from './calibrate-subln.ts';
import { teacherFolder } from '../../experiment/folder.ts';
import type { JobContext } from '../job.ts';
import { studentConfiguration, studentSource } from '../models-of-recipe.ts';
import { taskRows } from '../task/task-batches.ts';
import { saveModel } from './save-model.ts';

/** Rows that calibration looks at. */
const calibrationRows = 64;

/** The first rows in the order of the seed, as every stage is trained on them. */
async function calibrationExamples(spec: JobSpec, context: JobContext): Promise<Example[]> {
  const { rows } = await taskRows(spec, context, (read) => {
    context.emit({ type: 'progress', done: 0, total: 1, unit: 'models', resumed: 0, note: `${read} rows read` });
  });
  try {
    const examples: Example[] = [];
    while (examples.length < Math.min(calibrationRows, rows.lengths.length))
      examples.push(await rows.read(examples.length));
    return examples;
  } finally {
    await rows.close();
  }
}

export async function refineStudent(spec: JobSpec, context: JobContext): Promise<{ norms: number }> {
  const { recipe, folder } = spec;
  const configuration = await studentConfiguration(recipe);
  const source = studentSource(recipe, teacherFolder(folder, recipe));
  const parameters = await loadParameters(source, configuration);
  const norms = parameters.specifications.filter(({ local }) => local.endsWith('.subln')).length;
  context.emit({ type: 'progress', done: 0, total: 1, unit: 'models', resumed: 0 });
  if (norms > 0 && recipe.refine.sublnInit === 'calibrated') {
    const examples = await calibrationExamples(spec, context);
    const dense: ModelConfiguration = { ...configuration, ternary: false, subln: 'none' };
    const network = await Network.create(dense, await loadParameters(source, dense), {
      threads: recipe.threads,
      mode: 'inference',
    });
    await calibrateSubln(parameters, configuration, network, microBatches(examples, 4096));
    await network.release();
  }
  await saveModel(context, folder, 'refined', source, configuration, parameters);
  context.emit({ type: 'progress', done: 1, total: 1, unit: 'models', resumed: 0 });
  return { norms };
}
