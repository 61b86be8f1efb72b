/** The rows of a former training and later ones in one file, for a training on both. */
import { TritsmithError } from '../../contract/errors.ts';
import type { AddRowsRequest } from '../../contract/add-rows.ts';
import type { QueryAnswer } from '../../contract/queries.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import { type Dataset, openDataset, writeRows } from '../../formats/datasets/index.ts';
import { readingOfDev, readingOfLater, requireColumns, splitColumns, usablePart } from './task-rows.ts';

/**
 * Writes the columns that the task uses, as JSON Lines: all rows of the former file, as it was read then, and those of the new one that have a text and
 * a label. Each file appears whole or not at all.
 * @throws TritsmithError `bad-input` for a column that a file lacks, and where no new row can be used; as `openDataset`, `writeRows`
 */
export async function addRows({
  task,
  file,
  reading,
  target,
  devTarget,
}: AddRowsRequest): Promise<QueryAnswer<'add-rows'>> {
  const columns = [...new Set([...task.textColumns, task.labelColumn, ...splitColumns(task)])];
  const former = await openDataset(task.train, task.reading);
  requireColumns(former, columns);
  const later = await openDataset(file, readingOfLater(task, reading));
  requireColumns(later, columns, 'as-in-training');
  const counts = { former: 0, added: 0 };
  async function* both(): AsyncGenerator<string[], void> {
    for await (const cells of cellsOf(former, columns)) {
      counts.former += 1;
      yield cells;
    }
    for await (const cells of cellsOf(later, columns, task)) {
      counts.added += 1;
      yield cells;
    }
    if (counts.added === 0) throw new TritsmithError('bad-input', 'rows.none-usable', { path: file });
  }
  await writeRows(target, columns, both());
  if (devTarget !== null && task.dev !== undefined) {
    const dev = await openDataset(task.dev, readingOfDev(task.reading));
    requireColumns(dev, columns);
    await writeRows(devTarget, columns, cellsOf(dev, columns));
  }
  return counts;
}

/** With `task`, only rows that it can use. */
async function* cellsOf(
  dataset: Dataset,
  columns: readonly string[],
  task: TaskSettings | null = null,
): AsyncGenerator<string[], void> {
  for await (const { values } of dataset.rows())
    if (task === null || usablePart(values, task).lacks === null) yield columns.map((name) => values[name] ?? '');
}
