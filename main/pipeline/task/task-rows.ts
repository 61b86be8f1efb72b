/** The usable rows of a task's files, one after another: a file is read as often as needed and never held. */
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import { type Dataset, openDataset } from '../../formats/datasets/index.ts';
import { compileTemplate } from '../../formats/tokenizers/index.ts';

/** A row with a text and an answer. */
export interface TaskRow {
  readonly answer: string;
  /** The text as the model is shown it. */
  prompt(): string;
}

/** Called now and then with the rows read so far; may throw to stop. */
export type OnRows = (rows: number) => Promise<void>;

const rowsBetweenCalls = 4096;

/** The default prompt: the columns one below the other, and a cue to answer when several columns need telling apart. */
export function defaultTemplate(textColumns: readonly string[]): string {
  return textColumns.map((column) => `{{ row[${JSON.stringify(column)}] }}`).join('\n') + '\n';
}

async function openTask(path: string, settings: TaskSettings): Promise<Dataset> {
  const dataset = await openDataset(path);
  const missing = [...settings.textColumns, settings.labelColumn].filter((name) => !dataset.columns.includes(name));
  if (missing.length > 0)
    throw new TritsmithError('bad-input', `${path} has no column "${missing[0]}".`, {
      reason: `Its columns are ${dataset.columns.join(', ')}.`,
      remedy: 'Choose the text and label columns again.',
    });
  return dataset;
}

/**
 * The rows of `path` that have a text and a label, in its order.
 * @param notes what a person should know about the other rows is added at the end
 * @throws TritsmithError `bad-input` for a missing column or a file without usable rows
 */
export async function* usableRows(
  path: string,
  settings: TaskSettings,
  notes: string[],
  onRows: OnRows,
): AsyncGenerator<TaskRow> {
  const dataset = await openTask(path, settings);
  const render = compileTemplate(settings.template === '' ? defaultTemplate(settings.textColumns) : settings.template);
  let read = 0;
  let dropped = 0;
  for await (const { values } of dataset.rows()) {
    read += 1;
    if (read % rowsBetweenCalls === 0) await onRows(read);
    const answer = (values[settings.labelColumn] ?? '').trim();
    if (answer === '' || settings.textColumns.every((column) => (values[column] ?? '').trim() === '')) dropped += 1;
    else yield { answer, prompt: () => render(values) };
  }
  if (dropped > 0) notes.push(`${dropped} rows of ${path} have no text or no label and are left out.`);
  for (const { row, message } of dataset.problems.slice(0, 5)) notes.push(`${path}, row ${row}: ${message}`);
  if (read === dropped)
    throw new TritsmithError('bad-input', `${path} holds no usable row.`, {
      remedy: 'Check that the text and label columns are the right ones and not empty.',
    });
}
