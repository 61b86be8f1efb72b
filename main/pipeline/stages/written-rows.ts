/**
 * Rows that the teacher writes itself (docs/method.md, 5.8), in a file that the experiment owns. The base writes them, before it is fine-tuned: afterwards it
 * would go on with answers. Attempts are made in order and noted as they are done, so that a stop loses no more than a few, and changes no row.
 */
import { availableParallelism } from 'node:os';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { loadModel } from '../../../native/runtime.ts';
import { writeFileAtomically } from '../../basics/atomic-file.ts';
import { fileSha256, textSha256 } from '../../basics/file-digest.ts';
import { readJsonIfWhole } from '../../basics/json-file.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import { cacheFolder, writtenRowsNotePath, writtenRowsPath } from '../../experiment/folder.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import { Batch } from '../answer/batch.ts';
import { writeModel } from '../evaluate/written-answers.ts';
import { type JobContext, obeyStop } from '../job.ts';
import { choosingRows } from '../models-of-recipe.ts';
import { fileState } from '../task/survey.ts';
import type { PreparedTask } from '../task/task-data.ts';
import type { RowTexts } from '../task/task-texts.ts';
import { writeRow } from './row-writer.ts';

/** To be raised when the same recipe would write other rows. */
const version = 2;
/** Rows that are written beside each other: a tile of the runtime reads the weights once for all of them. */
const atOnce = 8;
/** Of each wanted row so many attempts at most, for some are not new. */
export const mostAttempts = 4;
/** Training rows that are gone on from. */
const mostBegun = 10_000;

const noteShape = z.object({
  key: z.string(),
  /** Attempts that are done, and rows and bytes of the file that came of them. */
  attempts: z.int(),
  rows: z.int(),
  bytes: z.int(),
  /** Attempts that were no new row. */
  dropped: z.object({ training: z.int(), evaluation: z.int(), empty: z.int() }),
  /** SHA-256 of the file, once it is done. */
  sha256: z.string().optional(),
});
type Note = z.infer<typeof noteShape>;

export interface WrittenRows {
  readonly rows: readonly RowTexts[];
  readonly sha256: string;
  /** For the log. */
  readonly notes: readonly string[];
}

/**
 * Null where the recipe has none. The file of an earlier session is gone on with.
 * @throws JobStopped when the job is told to stop; the rows that were written stay
 * @throws TritsmithError `bad-input` where not one row is new, `no-space`
 */
export async function writtenRows(
  spec: JobSpec,
  task: PreparedTask,
  tokenizer: Tokenizer,
  context: JobContext,
): Promise<WrittenRows | null> {
  const { recipe, folder } = spec;
  const { teacherWrites: settings, teacher } = recipe;
  if (settings === undefined) return null;
  const key = textSha256(
    JSON.stringify([
      version,
      task.key,
      settings,
      recipe.seed,
      choosingRows(recipe, task.trainRows),
      await fileState(teacher),
    ]),
  );
  const path = writtenRowsPath(folder);
  let note = await earlierNote(folder, key);
  if (note.sha256 === undefined) note = await write(note);
  if (note.rows === 0) throw new TritsmithError('bad-input', 'teacher-writes.none', { attempts: note.attempts });
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  return { rows: lines.map((line) => JSON.parse(line) as RowTexts), sha256: note.sha256!, notes: notesOf(note) };

  async function write(begun: Note): Promise<Note> {
    const { rows: wanted } = settings!;
    const onRows = () => obeyStop(context);
    const apart = choosingRows(recipe, task.trainRows);
    const texts = await task.texts({ most: mostBegun, apart }, onRows);
    const configuration = await modelConfiguration(teacher);
    await mkdir(cacheFolder(folder), { recursive: true });
    const modelPath = join(cacheFolder(folder), `writer-${process.pid}.gguf`);
    const file = await open(path, begun.rows === 0 ? 'w' : 'r+').catch((thrown: unknown) => {
      throw TritsmithError.from(thrown);
    });
    const stopping = (): boolean => context.stopRequested() !== null;
    try {
      await file.truncate(begun.bytes);
      for (const line of (await readFile(path, 'utf8')).split('\n'))
        if (line !== '') texts.taken(JSON.parse(line) as RowTexts);
      await writeModel(modelPath, teacher, configuration, tokenizer, { stopping, onRow: onRows });
      const model = loadModel(modelPath, {
        threads: recipe.threads === 0 ? availableParallelism() : recipe.threads,
        contextLength: configuration.maxPositions,
      });
      try {
        const { textColumns, maxLength } = recipe.task;
        const { maxPositions: contextLength } = configuration;
        const of = { tokenizer, contextLength, textColumns, maxLength, settings: settings!, seed: recipe.seed };
        const writer = { ...of, batch: new Batch(model), rows: texts.rows };
        let found = begun;
        while (found.rows < wanted && found.attempts < mostAttempts * wanted) {
          const cancel = new AbortController();
          const watch = setInterval(() => {
            if (stopping()) cancel.abort();
          }, 50);
          let written: (RowTexts | null)[];
          try {
            const attempts = Array.from({ length: atOnce }, (_, at) => found.attempts + at);
            written = await Promise.all(attempts.map((attempt) => writeRow(writer, attempt, cancel.signal)));
          } finally {
            clearInterval(watch);
          }
          await obeyStop(context);
          const dropped = { ...found.dropped };
          const fresh: string[] = [];
          for (const row of written) {
            if (found.rows + fresh.length === wanted) break;
            const why = row === null ? 'empty' : texts.taken(row);
            if (why === null) fresh.push(`${JSON.stringify(row)}\n`);
            else dropped[why] += 1;
          }
          const bytes = Buffer.from(fresh.join(''));
          await file.write(bytes, 0, bytes.length, found.bytes).catch((thrown: unknown) => {
            throw TritsmithError.from(thrown);
          });
          await file.datasync();
          const { attempts, rows } = found;
          found = {
            ...found,
            attempts: attempts + atOnce,
            rows: rows + fresh.length,
            bytes: found.bytes + bytes.length,
            dropped,
          };
          await keep(folder, found);
          const text = `${found.rows} of ${wanted} rows written by the teacher`;
          context.emit({ type: 'progress', done: 0, total: 1, unit: 'steps', resumed: 0, note: text });
        }
        found = { ...found, sha256: await fileSha256(path) };
        await keep(folder, found);
        return found;
      } finally {
        model.close();
      }
    } finally {
      await file.close();
      await rm(modelPath, { force: true });
    }
  }

  function notesOf({ rows, attempts, dropped }: Note): string[] {
    const reasons = [
      [dropped.training, 'like a training row or one that it had written'],
      [dropped.evaluation, 'like an evaluation row'],
      [dropped.empty, 'empty'],
    ] as const;
    const why = reasons.flatMap(([count, what]) => (count === 0 ? [] : [`${count} were ${what}`]));
    const kept = `The teacher wrote ${rows} rows${rows < settings!.rows ? ` of the ${settings!.rows} that were asked for` : ''}`;
    return [
      `${kept}: ${writtenRowsPath(folder)}.${why.length === 0 ? '' : ` Of ${attempts} attempts ${why.join(', ')}.`}`,
    ];
  }
}

const keep = (folder: string, note: Note): Promise<void> =>
  writeFileAtomically(writtenRowsNotePath(folder), JSON.stringify(note));

/** How far an earlier session came; nothing where its file is of another key or damaged. */
async function earlierNote(folder: string, key: string): Promise<Note> {
  const none: Note = { key, attempts: 0, rows: 0, bytes: 0, dropped: { training: 0, evaluation: 0, empty: 0 } };
  const note = readJsonIfWhole(writtenRowsNotePath(folder), noteShape);
  if (note?.key !== key) return none;
  try {
    const path = writtenRowsPath(folder);
    const text = await readFile(path);
    if (text.length < note.bytes) return none;
    return note.sha256 === undefined || (await fileSha256(path)) === note.sha256 ? note : none;
  } catch {
    // Missing or not to be read: whoever writes it anew will hear why, if that can't be done.
    return none;
  }
}
