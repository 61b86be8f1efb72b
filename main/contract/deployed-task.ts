/** What a student was trained for, in the folder that is handed over with it: all that a program needs to ask it as it was trained (docs/formats.md). */
import { z } from 'zod';
import { taskSettings } from './recipe.ts';

export const deployedTaskFile = 'task.json';

const { name, kind, textColumns, template, maxLength, maxNewTokens } = taskSettings.shape;

export const deployedTask = z.object({
  format: z.literal('tritsmith-task'),
  version: z.literal(1),
  /** The model's file, beside this one. */
  model: z.string().regex(/^[^\\/]+\.gguf$/),
  task: z.object({ name, kind, textColumns, template, maxLength, maxNewTokens }),
  /** Scores are divided by it before they become probabilities (docs/method.md, 11); absent: 1. */
  temperature: z.number().positive().optional(),
  /** In the order of the scores; null for a task whose answers are written. */
  labels: z
    .array(
      z.object({
        label: z.string(),
        /** What the model writes for it after the prompt. */
        words: z.string(),
        tokens: z.array(z.int().min(0)).min(1).max(4096),
      }),
    )
    .min(2)
    .max(1000)
    .nullable(),
});
export type DeployedTask = z.infer<typeof deployedTask>;
