/** Fine-tunes the full-precision teacher on the task. */
import type { JobSpec } from '../../contract/jobs.ts';
import { loadParameters, readFolderConfiguration } from '../../models/model-folder.ts';
import type { JobContext } from '../job.ts';
import { trainStage } from './stage-training.ts';
import { taskBatches } from '../task/task-batches.ts';
import { trainingEvaluation } from '../evaluate/evaluate.ts';
import { saveModel } from './save-model.ts';

export async function finetuneTeacher(spec: JobSpec, context: JobContext): Promise<{ steps: number }> {
  const { recipe, folder } = spec;
  const { finetune } = recipe;
  if (!finetune) return { steps: 0 };
  const configuration = await readFolderConfiguration(recipe.teacher);
  const { task, batches, steps, close } = await taskBatches(spec, finetune, context);
  const parameters = await loadParameters(recipe.teacher, configuration);
  try {
    await trainStage(
      {
        job: 'finetune',
        folder,
        recipe,
        configuration,
        parameters,
        distillation: null,
        batches,
        optimiser: finetune.optimiser,
        totalSteps: steps,
        evaluation: trainingEvaluation(recipe, task),
      },
      context,
    );
  } finally {
    await close();
  }
  await saveModel(context, folder, 'teacher', recipe.teacher, configuration, parameters);
  return { steps };
}
