/** Stage 3, distil (Eq. 8-14), and BitNet-SFT, the paper's baseline: the quantised base fine-tuned with cross-entropy alone. */
import type { JobResults } from '../../contract/job-results.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { loadParameters, readFolderConfiguration } from '../../models/model-folder.ts';
import { Network } from '../../models/network.ts';
import type { Distillation } from '../../training/training-step.ts';
import { modelFolder, teacherFolder } from '../../experiment/folder.ts';
import type { JobContext } from '../job.ts';
import {
  baselineConfiguration,
  pretrainSteps,
  relationLayers,
  studentConfiguration,
  studentOptimiser,
} from '../models-of-recipe.ts';
import { trainOnTask } from './task-stage.ts';

async function loadDistillation(spec: JobSpec, student: ModelConfiguration): Promise<Distillation> {
  const { recipe, folder } = spec;
  const { distil } = recipe;
  const path = teacherFolder(folder, recipe);
  const configuration = await readFolderConfiguration(path);
  const teacher = await Network.create(configuration, await loadParameters(path, configuration), {
    threads: recipe.threads,
    mode: 'inference',
  });
  const [teacherLayer, studentLayer] = relationLayers(distil.layer, configuration.layers, student.layers);
  return { ...distil, teacher, teacherLayer, studentLayer };
}

export async function distilStudent(spec: JobSpec, context: JobContext): Promise<JobResults['distil']> {
  const { recipe, folder } = spec;
  const { distil } = recipe;
  const configuration = await studentConfiguration(recipe);
  const distils = distil.lambda > 0 || distil.gamma !== 0;
  return trainOnTask(
    spec,
    {
      job: 'distil',
      configuration,
      source: modelFolder(folder, recipe.pretrain ? 'pretrained' : recipe.reconstruct ? 'reconstructed' : 'refined'),
      result: 'student',
      training: { ...distil, optimiser: studentOptimiser(recipe, distil.optimiser) },
      anneal: distil.anneal,
      ...(distils ? { loadDistillation: () => loadDistillation(spec, configuration) } : {}),
    },
    context,
  );
}

/** Trains for as many steps as the student had in all its stages, so that the comparison is one of method, not of effort. */
export async function trainBaseline(spec: JobSpec, context: JobContext): Promise<JobResults['distil']> {
  const { recipe } = spec;
  return trainOnTask(
    spec,
    {
      job: 'baseline',
      configuration: await baselineConfiguration(recipe),
      source: recipe.studentBase ?? recipe.teacher,
      result: 'baseline',
      training: recipe.distil,
      moreSteps: recipe.pretrain ? pretrainSteps(recipe.pretrain) : 0,
    },
    context,
  );
}
