/** The texts of a task's rows, for whoever makes further ones: what to go on from, and what must not come again. */
import type { TaskSettings } from '../../contract/recipe.ts';
import { answerOf, changedWhileRead, placesOf, type Survey } from './survey.ts';
import { type OnRows, readingOfDev, usableRows } from './task-rows.ts';
import { KnownTexts, TextPrints } from './text-prints.ts';

/** Text columns of a row. */
export type RowTexts = Readonly<Record<string, string>>;

export interface TaskTexts {
  /** Of training rows, in the order of the seed. */
  readonly rows: readonly RowTexts[];
  /** Which rows have this text, or nearly this. One that is new counts as a training row's from then on. */
  taken(texts: RowTexts): 'training' | 'evaluation' | null;
}

/** Which training rows may be gone on from. */
export interface WantedTexts {
  readonly most: number;
  /** So many of the last ones, in the order of the seed, are not. */
  readonly apart: number;
}

/**
 * Reads the files once.
 * @throws TritsmithError `bad-input` as `usableRows`, and where the training file has changed since the survey
 */
export async function taskTexts(
  settings: TaskSettings,
  seed: number,
  survey: Survey,
  { most, apart }: WantedTexts,
  onRows: OnRows,
): Promise<TaskTexts> {
  const { textColumns, train, dev, reading } = settings;
  const { held, end } = survey;
  const prints = new TextPrints();
  const [training, evaluation] = [new KnownTexts(prints), new KnownTexts(prints)];
  let printed = 0;
  const print = (texts: RowTexts): number => {
    prints.add(texts, textColumns);
    return printed++;
  };
  const rows: RowTexts[] = [];
  const places = placesOf(survey, seed);
  const last = Math.min(end - apart, held + most);
  let row = 0;
  for await (const { values } of usableRows(train, settings, [], onRows, answerOf(survey, settings))) {
    const place = places[row++] ?? end;
    (place < held ? evaluation : training).add(print(values));
    if (place >= held && place < last)
      rows[place - held] = Object.fromEntries(textColumns.map((column) => [column, values[column] ?? '']));
  }
  if (row !== survey.rows) throw changedWhileRead(train);
  if (dev !== undefined)
    for await (const { values } of usableRows(dev, { ...settings, reading: readingOfDev(reading) }, [], onRows))
      evaluation.add(print(values));
  return {
    rows,
    taken: (texts) => {
      const at = print(texts);
      const isOf = (known: KnownTexts): boolean => (known.same(prints, at) ?? known.near(prints, at)) !== null;
      if (isOf(evaluation)) return 'evaluation';
      if (isOf(training)) return 'training';
      training.add(at);
      return null;
    },
  };
}
