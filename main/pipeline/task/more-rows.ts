/** Rows without labels, in a file with the task's text columns, as prompts: the fine-tuned teacher answers them (docs/method.md, 5.7). */
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import { openDataset } from '../../formats/datasets/index.ts';
import { hasText, type OnRows, promptRenderer, readingOfLater, requireColumns } from './task-rows.ts';

/** Of them so many are read at most where nobody said otherwise. */
export const mostMoreRows = 10_000;

const rowsBetweenCalls = 4096;

/** What became of the file's rows that are not used. */
export interface LeftOut {
  labelled: number;
  withoutText: number;
}

/**
 * The prompts of the rows that have a text and no label, in the file's order.
 * @param standsForNone whether a value of the label column stands for no label
 * @throws TritsmithError `bad-input` for a file that lacks a text column
 */
export async function* promptsWithoutLabel(
  path: string,
  task: TaskSettings,
  { standsForNone, onRows, leftOut }: { standsForNone: (value: string) => boolean; onRows: OnRows; leftOut: LeftOut },
): AsyncGenerator<() => Promise<string>> {
  const dataset = await openDataset(path, readingOfLater(task, task.reading));
  requireColumns(dataset, task.textColumns, 'as-in-training');
  const render = await promptRenderer(task);
  let read = 0;
  for await (const { values } of dataset.rows()) {
    read += 1;
    if (read % rowsBetweenCalls === 0) await onRows(read);
    const label = (values[task.labelColumn] ?? '').trim();
    if (label !== '' && !standsForNone(label)) leftOut.labelled += 1;
    else if (!hasText(values, task.textColumns)) leftOut.withoutText += 1;
    else yield () => render(values);
  }
}

/**
 * How many of them a recipe uses.
 * @throws TritsmithError `bad-input` where there are none, and as `promptsWithoutLabel`
 */
export async function countMoreRows(path: string, task: TaskSettings, most = mostMoreRows): Promise<number> {
  const leftOut: LeftOut = { labelled: 0, withoutText: 0 };
  const none = new Set(task.unlabelled ?? []);
  const reading = { standsForNone: (value: string) => none.has(value), onRows: () => Promise.resolve(), leftOut };
  const rows = promptsWithoutLabel(path, task, reading);
  let count = 0;
  while (count < most && (await rows.next()).done !== true) count += 1;
  await rows.return(undefined);
  if (count === 0) throw new TritsmithError('bad-input', 'more-rows.none', { path, labelled: leftOut.labelled });
  return count;
}
