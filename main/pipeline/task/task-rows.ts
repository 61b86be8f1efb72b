/** The usable rows of a task's files, one after another: a file is read as often as needed and never held. */
import { TritsmithError } from '../../contract/errors.ts';
import { tell } from '../../contract/messages/told.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import type { ReadingOptions } from '../../contract/table-reading.ts';
import { type ChatObstacle, type Dataset, isNameByPlace, openDataset } from '../../formats/datasets/index.ts';
import { compileTemplate } from '../../formats/tokenizers/index.ts';

/** A row with a text and an answer. */
export interface TaskRow {
  /** As the file counts its rows. */
  readonly row: number;
  readonly answer: string;
  readonly values: Readonly<Record<string, string>>;
  /** The text as the model is shown it. */
  prompt(): Promise<string>;
}

/** Called now and then with the rows read so far; may throw to stop. */
export type OnRows = (rows: number) => Promise<void>;

const rowsBetweenCalls = 4096;

/** The default prompt: the columns one below the other, and a cue to answer when several columns need telling apart. */
function defaultTemplate(textColumns: readonly string[]): string {
  return textColumns.map((column) => `{{ row[${JSON.stringify(column)}] }}`).join('\n') + '\n';
}

/**
 * What turns a row into the text that the model is shown: the template of the settings, or the default one where it is empty.
 * @throws TritsmithError `bad-input` for a template that does not compile
 */
export function promptRenderer({
  template = '',
  textColumns,
}: {
  readonly template?: string | undefined;
  readonly textColumns: readonly string[];
}): Promise<(row: Readonly<Record<string, string>>) => Promise<string>> {
  return compileTemplate(template === '' ? defaultTemplate(textColumns) : template);
}

/** @throws TritsmithError `bad-input` that names the columns that there are, where one of `names` is not among them */
export function requireColumns(
  { path, columns }: Pick<Dataset, 'path' | 'columns'>,
  names: readonly string[],
  naming: 'chosen' | 'as-in-training' = 'chosen',
): void {
  const missing = names.filter((name) => !columns.includes(name));
  if (missing.length > 0)
    throw new TritsmithError('bad-input', 'rows.no-column', { file: path, missing, columns, naming });
}

/** Columns besides text and label that the rows need. */
export function splitColumns({
  dev,
  groupColumn,
  timeColumn,
}: Pick<Partial<TaskSettings>, 'dev' | 'groupColumn' | 'timeColumn'>): string[] {
  return dev === undefined ? [groupColumn, timeColumn].filter((column) => column !== undefined) : [];
}

/** Text and answer of a row, or which of the two it lacks. */
export function usablePart(
  values: Readonly<Record<string, string>>,
  { textColumns, labelColumn }: { readonly textColumns: readonly string[]; readonly labelColumn: string },
): { readonly answer: string; readonly lacks: 'text' | 'label' | null } {
  const answer = (values[labelColumn] ?? '').trim();
  if (answer === '') return { answer, lacks: 'label' };
  return { answer, lacks: hasText(values, textColumns) ? null : 'text' };
}

export function hasText(values: Readonly<Record<string, string>>, textColumns: readonly string[]): boolean {
  return textColumns.some((column) => (values[column] ?? '').trim() !== '');
}

/** Whether a task reads what is made from conversations, so that rows without it are missed. */
export function usesChat(
  { chats }: Pick<Dataset, 'chats'>,
  { textColumns, labelColumn }: { readonly textColumns: readonly string[]; readonly labelColumn: string },
): boolean {
  return chats?.derived === true && (chats.answerColumn === labelColumn || textColumns.includes(chats.promptColumn));
}

/** How the evaluation file is read: as the training file, but for the sheet, which is its own. */
export function readingOfDev(reading: ReadingOptions = {}): ReadingOptions {
  return { ...reading, sheet: reading.devSheet };
}

/** How a file is read that came after the training: columns that were named by their place came from a file without a header. */
export function readingOfLater(task: Pick<TaskSettings, 'textColumns'>, given: ReadingOptions = {}): ReadingOptions {
  return task.textColumns.every(isNameByPlace) ? { header: 'none', ...given } : given;
}

/**
 * The rows of `path` that have a text and a label, in its order.
 * @param notes what a person should know about the other rows is added at the end
 * @param answerOf what a label value stands for, such as its class; null: no label
 * @throws TritsmithError `bad-input` for a missing column or a file without usable rows
 */
export async function* usableRows(
  path: string,
  settings: TaskSettings,
  notes: string[],
  onRows: OnRows,
  answerOf: (value: string) => string | null = (value) => value,
): AsyncGenerator<TaskRow> {
  const dataset = await openDataset(path, settings.reading);
  requireColumns(dataset, [...settings.textColumns, settings.labelColumn, ...splitColumns(settings)]);
  const render = await promptRenderer(settings);
  let read = 0;
  let dropped = 0;
  const ofChat = usesChat(dataset, settings);
  const obstacles = new Map<ChatObstacle, number>();
  for await (const { row, values, leftOut } of dataset.rows()) {
    read += 1;
    if (read % rowsBetweenCalls === 0) await onRows(read);
    const { answer: value, lacks } = usablePart(values, settings);
    const answer = lacks === null ? answerOf(value) : null;
    if (answer === null) {
      dropped += 1;
      if (ofChat && leftOut !== undefined) obstacles.set(leftOut, (obstacles.get(leftOut) ?? 0) + 1);
    } else yield { row, answer, values, prompt: () => render(values) };
  }
  if (dropped > 0) notes.push(`${dropped} rows of ${path} have no text or no label and are left out.`);
  for (const [obstacle, rows] of obstacles) notes.push(`${rows} of them: ${tell(`row.${obstacle}`).text}`);
  for (const { row, message } of dataset.problems.slice(0, 5)) notes.push(`${path}, row ${row}: ${message}`);
  if (read === dropped) throw new TritsmithError('bad-input', 'rows.none-usable', { path });
}
