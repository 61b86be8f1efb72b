/** How large a task is for a training: read as the training reads it, so that no count is guessed. */
import type { TaskSize } from '../../contract/estimates.ts';
import type { Recipe } from '../../contract/recipe.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { prepareTask } from '../task/task-data.ts';

/** Reads and tokenises all rows. @throws TritsmithError as `prepareTask` */
export async function measureTask(recipe: Recipe, tokenizer: Tokenizer): Promise<TaskSize> {
  const task = await prepareTask(recipe.task, tokenizer, recipe.seed);
  let [tokens, answerTokens, longestRow, longestAnswer] = [0, 0, 0, 0];
  for await (const { ids, responseStart } of task.train()) {
    const answer = ids.length - responseStart;
    tokens += ids.length;
    answerTokens += answer;
    longestRow = Math.max(longestRow, ids.length);
    longestAnswer = Math.max(longestAnswer, answer);
  }
  const answered =
    task.labels === null ? recipe.task.maxNewTokens : Math.max(...task.labels.ids.map((ids) => ids.length));
  const evaluationTokens = task.dev.reduce((sum, { prompt }) => sum + prompt.length + answered, 0);
  const { trainRows: rows, dev } = task;
  return { rows, tokens, answerTokens, longestRow, longestAnswer, evaluationRows: dev.length, evaluationTokens };
}

/** What is assumed of a task that nobody has read: a thousand batches of short rows. */
export function unreadTask({ task }: Recipe): TaskSize {
  const rows = 32_000;
  const longestRow = Math.min(task.maxLength, 80);
  const answer = task.kind === 'classification' ? 1 : Math.ceil(longestRow / 4);
  return {
    rows,
    tokens: rows * longestRow,
    answerTokens: rows * answer,
    longestRow,
    longestAnswer: answer,
    evaluationRows: rows / 10,
    evaluationTokens: (rows / 10) * longestRow,
  };
}
