/** A real worker that trains a few steps on a task file of any size: all of its rows are read and tokenised first. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { recipeSchema } from '../../main/contract/recipe.ts';
import { runInWorker } from '../../main/jobs/host.ts';
import type { SpawnPort } from '../../main/jobs/spawn-port.ts';

const steps = 20;

/** Fine-tunes the demo's teacher on `limit` rows of `train`, or all (columns `text` and `queue`), in `folder`; tells how far it got. */
export async function trainOnFile(train: string, folder: string, port: SpawnPort, limit?: number): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const optimiser = { learningRate: 1e-3, batchSize: 16, microBatchTokens: 1024 };
  const recipe = recipeSchema.parse({
    name: 'load',
    teacher: fileURLToPath(new URL('../../resources/demo/teacher', import.meta.url)),
    threads: 1,
    task: {
      name: 'load',
      kind: 'classification',
      train,
      textColumns: ['text'],
      labelColumn: 'queue',
      maxLength: 64,
      limit,
    },
    finetune: { steps, optimiser },
    refine: {},
    pretrain: null,
    distil: { steps, optimiser },
    evaluation: { everySteps: 0 },
  });
  let read = '';
  const outcome = await runInWorker(
    port,
    { kind: 'finetune', recipe, folder },
    {
      onEvent: (event) => {
        if (event.type === 'progress' && event.note !== undefined) read = event.note;
      },
    },
  );
  return `${read}, ${outcome.state} after ${String(steps)} steps`;
}
