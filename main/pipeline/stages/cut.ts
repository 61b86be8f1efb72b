/** Makes a shorter model of the one that the student starts from: the decoder layers that its answers need least are left out. It heals in Stages 2 and 3. */
import { mkdir } from 'node:fs/promises';
import type { JobResults } from '../../contract/job-results.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import { writeLayerCut } from '../../experiment/cut.ts';
import { modelFolder } from '../../experiment/folder.ts';
import { loadParameters, modelConfiguration } from '../../models/open-model.ts';
import { withLayers } from '../../models/kept-layers.ts';
import { Network } from '../../models/network.ts';
import { ScoringHead } from '../../models/scoring-head.ts';
import { microBatches } from '../../training/batches.ts';
import { type JobContext, obeyStop } from '../job.ts';
import { assertCut, uncutSource } from '../models-of-recipe.ts';
import { calibrationExamples } from './calibration-rows.ts';
import { importancePasses, leastImportant } from './layer-importance.ts';
import { saveModel } from './save-model.ts';

/** Rows whose answers tell which layers matter. */
export const cutRows = 64;

export async function cutStudent(spec: JobSpec, context: JobContext): Promise<JobResults['cut']> {
  const { recipe, folder } = spec;
  const source = uncutSource(recipe, folder);
  const configuration = await modelConfiguration(source);
  const keep = assertCut(recipe, configuration);
  const examples = await calibrationExamples(spec, context, cutRows);
  const parameters = await loadParameters(source, configuration);
  const network = await Network.create(configuration, parameters, { threads: recipe.threads, mode: 'inference' });
  const head = await ScoringHead.create(network, { threads: recipe.threads });
  const total = importancePasses(configuration.layers, keep);
  try {
    const choice = await leastImportant(network, head, microBatches(examples, 4096), keep, async (done) => {
      await obeyStop(context);
      context.emit({ type: 'progress', done, total, unit: 'passes', resumed: 0 });
    });
    await mkdir(modelFolder(folder, 'cut'), { recursive: true });
    await writeLayerCut(folder, { kept: [...choice.kept], left: [...choice.left] });
    const shorter = withLayers(configuration, choice.kept);
    await saveModel(
      context,
      folder,
      'cut',
      source,
      shorter,
      await loadParameters(source, shorter, { kept: choice.kept }),
      choice.kept,
    );
    return { kept: [...choice.kept], layers: configuration.layers };
  } finally {
    await head.release();
    await network.release();
  }
}
