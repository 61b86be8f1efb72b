/** Rows without labels, in a file with the task's text columns, as prompts: the fine-tuned teacher answers them (docs/method.md, 5.8). */
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import { openDataset } from '../../formats/datasets/index.ts';
import { labelValues } from './label-values.ts';
import { hasText, type OnRows, promptRenderer, readingOfLater, requireColumns } from './task-rows.ts';

/** Of them so many are read at most where nobody said otherwise. */
export const mostMoreRows = 10_000;

const rowsBetweenCalls = 4096;

/** What became of the file's rows that are not used. */
export interface LeftOut {
  labelled: number;
  withoutText: number;
}

/** Says of values of the label column whether they stand for no label, beside those classes, as in the training file. */
function standingForNone(task: TaskSettings, classes: readonly string[]): (value: string) => boolean {
  const known = new Map<string, boolean>();
  return (value) => {
    if (task.kind !== 'classification') return false;
    let found = known.get(value);
    if (found === undefined) {
      const counts = new Map([...classes, value].map((label) => [label, 1] as const));
      found = labelValues(counts, task).classOf(value) === null;
      known.set(value, found);
    }
    return found;
  };
}

/**
 * The prompts of the rows that have a text and no label, in the file's order.
 * @param classes those of the task
 * @throws TritsmithError `bad-input` for a file that lacks a text column
 */
export async function* promptsWithoutLabel(
  path: string,
  task: TaskSettings,
  { classes, onRows, leftOut }: { classes: readonly string[]; onRows: OnRows; leftOut: LeftOut },
): AsyncGenerator<() => Promise<string>> {
  const dataset = await openDataset(path, readingOfLater(task, task.reading));
  requireColumns(dataset, task.textColumns, 'as-in-training');
  const render = await promptRenderer(task);
  const standsForNone = standingForNone(task, classes);
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
  const rows = promptsWithoutLabel(path, task, {
    // The file of labels is not read for this; it has two classes at least.
    classes: ['one', 'another'],
    onRows: () => Promise.resolve(),
    leftOut,
  });
  let count = 0;
  while (count < most && (await rows.next()).done !== true) count += 1;
  await rows.return(undefined);
  if (count === 0) throw new TritsmithError('bad-input', 'more-rows.none', { path, labelled: leftOut.labelled });
  return count;
}
