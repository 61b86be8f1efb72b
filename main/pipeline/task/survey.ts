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
import { Random } from '../../basics/random.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { cacheFolder, surveyPath } from '../../experiment/folder.ts';
import { promptTail } from './answer-tokens.ts';
import { type KeptRows, mostEvaluationRows } from './evaluation-rows.ts';
import { mostClasses } from './label-words.ts';
import { type OnRows, usableRows } from './task-rows.ts';
import { tokenFileVersion } from './token-file.ts';

const survey = z.object({
  /** Usable rows of the file. */
  rows: z.int().positive(),
  /** Places below this one, in the order of the seed, are held out for evaluation. */
  held: z.int().min(0),
  /** Places from this one on are not used. */
  end: z.int().positive(),
  /** Class values of the training rows, sorted; empty for generation; cut where there are more than are allowed. */
  classes: z.array(z.string()),
  /** End of the prompt of the file's first usable row. */
  tail: z.string(),
  /** What a person should know about the other rows. */
  notes: z.array(z.string()),
});
export type Survey = z.infer<typeof survey>;

/** Place of each usable row, by its number in the file, in the order of the seed. */
export function placesOf(rows: number, seed: number): Int32Array {
  const order = new Random(seed).shuffle(Int32Array.from({ length: rows }, (_, index) => index));
  const places = new Int32Array(rows);
  order.forEach((row, place) => {
    places[row] = place;
  });
  return places;
}

export function changedWhileRead(path: string): TritsmithError {
  return new TritsmithError('bad-input', 'rows.changed', { path });
}

async function countRows(settings: TaskSettings, notes: string[], onRows: OnRows): Promise<number> {
  const rows = usableRows(settings.train, settings, notes, onRows);
  let count = 0;
  while (!(await rows.next()).done) count += 1;
  return count;
}

/**
 * Reads the training file, twice.
 * @param kept takes the rows that are held out, where anybody wants them
 * @throws TritsmithError `bad-input` as `usableRows`, and where no training row is left
 */
export async function surveyTraining(
  settings: TaskSettings,
  seed: number,
  kept: KeptRows | null,
  onRows: OnRows,
): Promise<Survey> {
  const notes: string[] = [];
  const rows = await countRows(settings, notes, onRows);
  const held =
    settings.dev === undefined
      ? Math.min(mostEvaluationRows(settings.maxLength), Math.max(1, Math.round(rows * settings.devFraction)))
      : 0;
  const end = Math.min(rows, settings.limit === undefined ? rows : held + settings.limit);
  if (held >= end) throw new TritsmithError('bad-input', 'rows.none-left');
  const places = placesOf(rows, seed);
  const classes = new Set<string>();
  let tail = '';
  let row = 0;
  for await (const taskRow of usableRows(settings.train, settings, [], onRows)) {
    const place = places[row++] ?? end;
    if (place < held) await kept?.put(place, taskRow);
    else if (place < end && settings.kind === 'classification' && classes.size <= mostClasses)
      classes.add(taskRow.answer);
    if (row === 1) tail = promptTail(await taskRow.prompt());
  }
  if (row !== rows) throw changedWhileRead(settings.train);
  return { rows, held, end, classes: [...classes].sort(), tail, notes };
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
