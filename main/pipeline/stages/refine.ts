/** Stage 1, refine: inserts SubLN and turns the linear layers into BitLinears (Eq. 4-5). */
import type { JobSpec } from '../../contract/jobs.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { loadParameters, readFolderConfiguration } from '../../models/model-folder.ts';
import { Network } from '../../models/network.ts';
import { type Example, microBatches } from '../../training/batches.ts';
import { calibrateSubln } from './calibrate-subln.ts';
import { teacherFolder } from '../../experiment/folder.ts';
import { type JobContext, obeyStop } from '../job.ts';
import { recipeTokenizer, studentConfiguration, studentSource } from '../models-of-recipe.ts';
import { prepareTask } from '../task/task-data.ts';
import { saveModel } from './save-model.ts';

/** Rows that calibration looks at. */
const calibrationRows = 64;

export async function refineStudent({ recipe, folder }: JobSpec, context: JobContext): Promise<{ norms: number }> {
  const configuration = await studentConfiguration(recipe);
  const source = studentSource(recipe, teacherFolder(folder, recipe));
  const parameters = await loadParameters(source, configuration);
  const norms = parameters.specifications.filter(({ local }) => local.endsWith('.subln')).length;
  context.emit({ type: 'progress', done: 0, total: 1, unit: 'models', resumed: 0 });
  if (norms > 0 && recipe.refine.sublnInit === 'calibrated') {
    const teacher = await readFolderConfiguration(recipe.teacher);
    const tokenizer = await recipeTokenizer(recipe, teacher);
    const task = await prepareTask({ ...recipe.task, limit: calibrationRows }, tokenizer, recipe.seed, () =>
      obeyStop(context),
    );
    const examples: Example[] = [];
    for await (const example of task.train()) examples[example.index] = example;
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
