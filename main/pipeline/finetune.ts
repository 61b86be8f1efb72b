/** Fine-tunes the full-precision teacher on the task. */
import type { JobSpec } from '../contract/jobs.ts';
import { exampleBatches } from '../training/batches.ts';
import { loadParameters, readFolderConfiguration, saveModelFolder } from '../models/model-folder.ts';
import { describeArtifact, modelFolder } from './experiment-folder.ts';
import type { JobContext } from './job.ts';
import { recipeTokenizer, stageSteps } from './models-of-recipe.ts';
import { trainStage } from './stage-training.ts';
import { prepareTask } from './task-data.ts';
import { trainingEvaluation } from './evaluate.ts';

export async function finetuneTeacher({ recipe, folder }: JobSpec, context: JobContext): Promise<{ steps: number }> {
  const { finetune } = recipe;
  if (!finetune) return { steps: 0 };
  const configuration = await readFolderConfiguration(recipe.teacher);
  const tokenizer = await recipeTokenizer(recipe, configuration);
  const task = await prepareTask(recipe.task, tokenizer, recipe.seed);
  for (const text of task.notes) context.emit({ type: 'log', level: 'info', text });
  const parameters = await loadParameters(recipe.teacher, configuration);
  const batches = exampleBatches(task.train, { ...finetune.optimiser, seed: recipe.seed });
  const steps = stageSteps(finetune, batches.stepsPerEpoch);
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
  await saveModelFolder(modelFolder(folder, 'teacher'), recipe.teacher, configuration, parameters);
  context.emit({
    type: 'artifact',
    artifact: await describeArtifact(folder, 'teacher', 'teacher/model.safetensors'),
  });
  return { steps };
}
