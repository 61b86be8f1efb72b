/** Fine-tunes the full-precision teacher on the task. */
import type { JobSpec } from '../contract/jobs.ts';
import { loadParameters, readFolderConfiguration, saveModelFolder } from '../models/model-folder.ts';
import { describeArtifact, modelFolder } from './experiment-folder.ts';
import type { JobContext } from './job.ts';
import { trainStage } from './stage-training.ts';
import { taskBatches } from './task-batches.ts';
import { trainingEvaluation } from './evaluate.ts';

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
        ...trainingEvaluation(recipe, task),
      },
      context,
    );
  } finally {
    await close();
  }
  await saveModelFolder(modelFolder(folder, 'teacher'), recipe.teacher, configuration, parameters);
  context.emit({
    type: 'artifact',
    artifact: await describeArtifact(folder, 'teacher', 'teacher/model.safetensors'),
  });
  return { steps };
}
