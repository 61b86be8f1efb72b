/** The task of an experiment, with the tokenizer that its models share. */
import type { JobSpec } from '../../contract/jobs.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { recipeTokenizer } from '../models-of-recipe.ts';
import { prepareTask, type PreparedTask } from './task-data.ts';
import type { OnRows } from './task-rows.ts';

export interface OpenedTask {
  readonly task: PreparedTask;
  readonly tokenizer: Tokenizer;
}

/**
 * Uses and fills the cache of the experiment.
 * @param onRows see `prepareTask`
 * @throws TritsmithError as `recipeTokenizer` and `prepareTask`
 */
export async function openTask(
  { recipe, folder }: Pick<JobSpec, 'recipe' | 'folder'>,
  onRows?: OnRows,
): Promise<OpenedTask> {
  const tokenizer = await recipeTokenizer(recipe);
  const reading = { experiment: folder, ...(onRows === undefined ? {} : { onRows }) };
  return { tokenizer, task: await prepareTask(recipe.task, tokenizer, recipe.seed, reading) };
}
