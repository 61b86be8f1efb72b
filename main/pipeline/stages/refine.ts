/** Stage 1, refine: inserts SubLN and turns the linear layers into BitLinears (Eq. 4-5). */
import type { JobSpec } from '../../contract/jobs.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { loadParameters } from '../../models/open-model.ts';
import { Network } from '../../models/network.ts';
import { microBatches } from '../../training/batches.ts';
import { calibrateSubln } from './calibrate-subln.ts';
import { calibrationExamples } from './calibration-rows.ts';
import type { JobContext } from '../job.ts';
import { earlierStudent, studentSource } from '../models-of-recipe.ts';
import { saveModel } from './save-model.ts';

/** Rows that calibration looks at. */
const calibrationRows = 64;

export async function refineStudent(spec: JobSpec, context: JobContext): Promise<{ norms: number }> {
  const { recipe, folder } = spec;
  const configuration = await earlierStudent(recipe, folder);
  const source = studentSource(recipe, folder);
  const parameters = await loadParameters(source, configuration);
  const norms = parameters.specifications.filter(({ local }) => local.endsWith('.subln')).length;
  context.emit({ type: 'progress', done: 0, total: 1, unit: 'models', resumed: 0 });
  if (norms > 0 && recipe.refine.sublnInit === 'calibrated') {
    const examples = await calibrationExamples(spec, context, calibrationRows);
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
