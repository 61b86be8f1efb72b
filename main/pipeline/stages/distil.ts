/** Stage 3, distil (Eq. 8-14), and BitNet-SFT, the paper's baseline: the quantised base fine-tuned with cross-entropy alone. */
import type { JobSpec } from '../../contract/jobs.ts';
import type { ModelConfiguration } from '../../models/configuration.ts';
import { loadParameters, readFolderConfiguration } from '../../models/model-folder.ts';
import { Network } from '../../models/network.ts';
import type { Distillation } from '../../training/training-step.ts';
import { trainingEvaluation } from '../evaluate/evaluate.ts';
import { modelFolder, teacherFolder } from '../../experiment/folder.ts';
import type { JobContext } from '../job.ts';
import { baselineConfiguration, pretrainSteps, relationLayers, studentConfiguration } from '../models-of-recipe.ts';
import { trainStage } from './stage-training.ts';
import { taskBatches } from '../task/task-batches.ts';
import { saveModel } from './save-model.ts';

async function loadTeacher(spec: JobSpec, student: ModelConfiguration): Promise<Distillation> {
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

export async function distilStudent(spec: JobSpec, context: JobContext): Promise<{ steps: number }> {
  const { recipe, folder } = spec;
  const { task, batches, steps, close } = await taskBatches(spec, recipe.distil, context);
  const configuration = await studentConfiguration(recipe);
  const source = modelFolder(folder, recipe.pretrain ? 'pretrained' : 'refined');
  const parameters = await loadParameters(source, configuration);
  const { distil } = recipe;
  const distils = distil.lambda > 0 || distil.gamma !== 0;
  const distillation = distils ? await loadTeacher(spec, configuration) : null;
  try {
    await trainStage(
      {
        job: 'distil',
        folder,
        recipe,
        configuration,
        parameters,
        distillation,
        batches,
        optimiser: distil.optimiser,
        totalSteps: steps,
        anneal: distil.anneal,
        evaluation: trainingEvaluation(recipe, task),
      },
      context,
    );
  } finally {
    await close();
    await distillation?.teacher.release();
  }
  await saveModel(context, folder, 'student', source, configuration, parameters);
  return { steps };
}

/** Trains for as many steps as the student had in all its stages, so that the comparison is one of method, not of effort. */
export async function trainBaseline(spec: JobSpec, context: JobContext): Promise<{ steps: number }> {
  const { recipe, folder } = spec;
  const { task, batches, steps: distilSteps, close } = await taskBatches(spec, recipe.distil, context);
  const steps = distilSteps + (recipe.pretrain ? pretrainSteps(recipe.pretrain) : 0);
  const configuration = await baselineConfiguration(recipe);
  const source = recipe.studentBase ?? recipe.teacher;
  const parameters = await loadParameters(source, configuration);
  try {
    await trainStage(
      {
        job: 'baseline',
        folder,
        recipe,
        configuration,
        parameters,
        distillation: null,
        batches,
        optimiser: recipe.distil.optimiser,
        totalSteps: steps,
        evaluation: trainingEvaluation(recipe, task),
      },
      context,
    );
  } finally {
    await close();
  }
  await saveModel(context, folder, 'baseline', source, configuration, parameters);
  return { steps };
}
