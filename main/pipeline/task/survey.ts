/**
 * What has to be known of a task's training file before any of its rows can be tokenised. It takes two readings: one to count the rows,
 * one to see which are held out and which classes there are. An experiment keeps it in `cache/survey.json`, so that of its jobs and
 * views only the first reads the file.
 */
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import { readJsonIfWhole } from '../../basics/json-file.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { cacheFolder, surveyPath } from '../../experiment/folder.ts';
import { promptTail } from './answer-tokens.ts';
import type { KeptRows } from './evaluation-rows.ts';
import { orderOfSeed } from './held-out.ts';
import { type LabelValues, labelValues } from './label-values.ts';
import { mostClasses } from './label-words.ts';
import { findings, RowFacts, surveyRows, wantedRows } from './row-survey.ts';
import { KnownTexts } from './text-prints.ts';
import { type OnRows, usableRows } from './task-rows.ts';
import { tokenFileVersion } from './token-file.ts';

const survey = z.object({
  /** Usable rows of the file, those left out that have no label. */
  rows: z.int().positive(),
  /** Places below this one, in the order of the seed, are held out for evaluation. */
  held: z.int().min(0),
  /** Places from this one on are not used. */
  end: z.int().positive(),
  /** Class values of the training rows, sorted; empty for generation; cut where there are more than are allowed. */
  classes: z.array(z.string()),
  /** End of the prompt of the file's first usable row. */
  tail: z.string(),
  /** Rows of each label value, as the file has it; empty for written answers, and where there are more than are allowed. */
  counts: z.array(z.tuple([z.string(), z.number()])).default([]),
  /** Rows that are held out, and one of each class that a limit has to leave; null: the seed alone decides. */
  order: z
    .object({ held: z.array(z.number()), first: z.array(z.number()) })
    .nullable()
    .default(null),
  /** What a person should know about the other rows. */
  notes: z.array(z.string()),
});
export type Survey = z.infer<typeof survey>;

/**
 * Place of each usable row, by its number in the file: in the order of the seed; where the rows that are held out were chosen, these come first,
 * and then those that a limit has to leave.
 */
export function placesOf({ rows, order }: Pick<Survey, 'rows' | 'order'>, seed: number): Int32Array {
  const places = new Int32Array(rows);
  const rank = new Uint8Array(rows).fill(2);
  for (const row of order?.first ?? []) rank[row] = 1;
  for (const row of order?.held ?? []) rank[row] = 0;
  const ofSeed = orderOfSeed(rows, seed);
  let place = 0;
  for (const wanted of order === null ? [2] : [0, 1, 2])
    for (const row of ofSeed)
      if (rank[row] === wanted) {
        places[row] = place;
        place += 1;
      }
  return places;
}

export function changedWhileRead(path: string): TritsmithError {
  return new TritsmithError('bad-input', 'rows.changed', { path });
}

export function tooManyLabels({ labelColumn }: Pick<TaskSettings, 'labelColumn'>): TritsmithError {
  return new TritsmithError('bad-input', 'labels.too-many', { column: labelColumn, most: mostClasses });
}

/** Label values that are told apart while rows are counted. */
export const mostValues = 4 * mostClasses;

async function readFacts(settings: TaskSettings, notes: string[], onRows: OnRows): Promise<RowFacts> {
  const facts = new RowFacts(settings, mostValues);
  for await (const { row, answer, values } of usableRows(settings.train, settings, notes, onRows))
    facts.add(row, answer, values);
  return facts;
}

/** What the label values of the training rows stand for, in those and in the rows of other files. */
export function valuesOf({ counts }: Pick<Survey, 'counts'>, settings: TaskSettings): LabelValues {
  return labelValues(new Map(counts), settings);
}

/** The same as a function from value to class; undefined for written answers. */
export function answerOf(
  survey: Pick<Survey, 'counts'>,
  settings: TaskSettings,
): ((value: string) => string | null) | undefined {
  return settings.kind === 'classification' ? valuesOf(survey, settings).classOf : undefined;
}

/** The first row of each class in the order of the seed that is not held out. */
function oneOfEach(classes: readonly string[], held: Int32Array, seed: number): number[] {
  const away = new Set(held);
  const first = new Map<string, number>();
  for (const row of orderOfSeed(classes.length, seed))
    if (!away.has(row) && !first.has(classes[row]!)) first.set(classes[row]!, row);
  return [...first.values()];
}

/** The texts of these rows, for looking up others. */
function textsOf(facts: RowFacts, rows: readonly number[]): KnownTexts {
  const known = new KnownTexts(facts.prints);
  for (const row of rows) known.add(row);
  return known;
}

/** The texts of the training rows, from a reading of their own. */
export async function readTexts(settings: TaskSettings, seed: number, onRows: OnRows): Promise<KnownTexts> {
  const facts = await readFacts(settings, [], onRows);
  return textsOf(facts, surveyRows(facts, settings, seed).kept);
}

/**
 * Reads the training file, twice.
 * @param kept takes the rows that are held out, where anybody wants them
 * @param onTexts receives the texts of the rows, where anybody wants them
 * @throws TritsmithError `bad-input` as `usableRows`, and where no training row is left
 */
export async function surveyTraining(
  settings: TaskSettings,
  seed: number,
  kept: KeptRows | null,
  onRows: OnRows,
  onTexts?: (known: KnownTexts) => void,
): Promise<Survey> {
  const notes: string[] = [];
  const facts = await readFacts(settings, notes, onRows);
  const found = surveyRows(facts, settings, seed);
  if (settings.rules !== undefined && (found.values?.classes.size ?? 0) > mostClasses) throw tooManyLabels(settings);
  if (found.refusal !== null) throw found.refusal;
  onTexts?.(textsOf(facts, found.kept));
  const rows = found.kept.length;
  const { split, classes: classOfRow } = found;
  if (rows === 0) throw new TritsmithError('bad-input', 'rows.none-usable', { path: settings.train });
  const held = split?.held.length ?? (settings.dev === undefined ? wantedRows(rows, settings) : 0);
  const end = Math.min(rows, settings.limit === undefined ? rows : held + settings.limit);
  if (held >= end) throw new TritsmithError('bad-input', 'rows.none-left');
  const order =
    split === null
      ? null
      : {
          held: [...split.held],
          first: settings.limit === undefined ? [] : oneOfEach(classOfRow, split.held, seed),
        };
  const counts = [...(found.values?.counts ?? [])].slice(0, mostValues);
  const places = placesOf({ rows, order }, seed);
  const classes = new Set<string>();
  let tail = '';
  let row = 0;
  for await (const taskRow of usableRows(settings.train, settings, [], onRows, found.values?.classOf)) {
    const place = places[row++] ?? end;
    if (place < held) await kept?.put(place, taskRow);
    else if (place < end && settings.kind === 'classification' && classes.size <= mostClasses)
      classes.add(taskRow.answer);
    if (row === 1) tail = promptTail(await taskRow.prompt());
  }
  if (row !== rows) throw changedWhileRead(settings.train);
  notes.push(...findings(found).map(({ text }) => text));
  return { rows, held, end, classes: [...classes].sort(), tail, counts, order, notes };
}

/** Size and time of a file that may be read: another of either is another file. @throws TritsmithError `not-found` */
export async function fileState(path: string): Promise<string> {
  try {
    const state = await stat(path);
    if (!state.isDirectory()) return `${state.size}-${state.mtimeMs}`;
    // A folder of text files by class: what it holds may change without it.
    const files = (await readdir(path, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const states: string[] = [];
    for (const { parentPath, name } of files) {
      const { size, mtimeMs } = await stat(join(parentPath, name));
      states.push(`${join(parentPath, name)}-${size}-${mtimeMs}`);
    }
    return textSha256(states.sort().join('\n'));
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
}

/** Digest of what a survey depends on. To be taken before the file is read. */
export async function surveyKey(settings: TaskSettings, seed: number): Promise<string> {
  return textSha256(JSON.stringify([tokenFileVersion, settings, seed, await fileState(settings.train)]));
}

const kept = z.object({ key: z.string(), survey });
/** The survey that the experiment's folder holds, unless it is damaged or of another key. */
export function earlierSurvey(experiment: string, key: string): Survey | null {
  const found = readJsonIfWhole(surveyPath(experiment), kept);
  return found?.key === key ? found.survey : null;
}

/** For what a job keeps for the next one: where it can't be written, that one has to read again, and nothing else comes of it. */
export async function keepIfPossible(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (thrown) {
    if (!(thrown instanceof TritsmithError) && (thrown as NodeJS.ErrnoException).syscall === undefined) throw thrown;
  }
}

export function keepSurvey(experiment: string, key: string, found: Survey): Promise<void> {
  return keepIfPossible(async () => {
    await mkdir(cacheFolder(experiment), { recursive: true });
    const content = { key, survey: found } satisfies z.infer<typeof kept>;
    await writeFileAtomically(surveyPath(experiment), JSON.stringify(content));
  });
}
