/**
 * Rows without labels, of a file or written by the teacher itself, answered by the fine-tuned teacher: the student learns from them as from the task's own (docs/method.md, 5.8). They are answered once,
 * in parts that the experiment's cache keeps, so that a stop loses no more than a part.
 */
import { z } from 'zod';
import { textSha256 } from '../../basics/file-digest.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { JobSpec } from '../../contract/jobs.ts';
import type { Recipe } from '../../contract/recipe.ts';
import { cachedTokens, teacherFolder } from '../../experiment/folder.ts';
import { classifyRows } from '../../evaluation/answer-classes.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { modelConfiguration } from '../../models/open-model.ts';
import type { Example } from '../../training/batches.ts';
import { onGraphEngine } from '../evaluate/evaluate.ts';
import { writeAnswers } from '../evaluate/written-answers.ts';
import { type JobContext, obeyStop } from '../job.ts';
import { longestAnswer } from '../task/label-words.ts';
import { type LeftOut, promptsWithoutLabel } from '../task/more-rows.ts';
import { openTask } from '../task/open-task.ts';
import { fileState } from '../task/survey.ts';
import { type PreparedTask, promptTokens } from '../task/task-data.ts';
import { promptRenderer } from '../task/task-rows.ts';
import { cachedTokens as tokenFile, type TokenFile } from '../task/token-file.ts';
import type { TokenisedRows } from '../task/tokenised-rows.ts';
import { type WrittenRows, writtenRows } from './written-rows.ts';

const rowsOfPart = 1000;

const aboutPart = z.object({
  /** Rows of each class; empty for written answers. */
  classes: z.array(z.int()),
});
type Part = TokenFile<z.infer<typeof aboutPart>>;

/**
 * Null where the recipe has none. To be closed.
 * @throws JobStopped when the job is told to stop
 * @throws TritsmithError `bad-input` where the file has no row without a label
 */
export async function answeredRows(spec: JobSpec, context: JobContext): Promise<TokenisedRows | null> {
  const { recipe, folder } = spec;
  const { moreRows, teacherWrites } = recipe;
  if (moreRows === undefined && teacherWrites === undefined) return null;
  const say = (note: string): void =>
    context.emit({ type: 'progress', done: 0, total: 1, unit: 'steps', resumed: 0, note });
  const { task, tokenizer } = await openTask(spec, () => obeyStop(context));
  const written = await writtenRows(spec, task, tokenizer, context);
  const { prompts, notes } = await readPrompts(recipe, task, tokenizer, written, context);
  const teacher = teacherFolder(folder, recipe);
  const ofFile = moreRows === undefined ? null : await fileState(moreRows.file);
  const key = textSha256(
    JSON.stringify([
      task.key,
      moreRows,
      ofFile,
      await fileState(teacher),
      ...(written === null ? [] : [written.sha256]),
    ]),
  );
  const parts: Part[] = [];
  const close = async (): Promise<void> => {
    for (const part of parts) await part.close();
  };
  try {
    for (let first = 0; first < prompts.length; first += rowsOfPart) {
      const own = prompts.slice(first, first + rowsOfPart);
      const onRow = async (done: number): Promise<void> => {
        await obeyStop(context);
        say(`${first + done} of ${prompts.length} rows answered by the teacher`);
      };
      parts.push(
        await tokenFile({
          path: cachedTokens(folder, `answered-${first / rowsOfPart}`),
          key: textSha256(JSON.stringify([key, first])),
          about: aboutPart,
          vocabSize: tokenizer.vocabSize,
          rows: own.length,
          write: async (writer) => {
            await onRow(0);
            const { answers, classes } = await answersOf(own, { spec, task, tokenizer, teacher, context, onRow });
            for (const [row, answer] of answers.entries())
              await writer.appendRow(row, Int32Array.from([...own[row]!, ...answer]), own[row]!.length);
            return { classes };
          },
        }),
      );
    }
  } catch (thrown) {
    await close();
    throw thrown;
  }
  for (const text of [...notes, answeredNote(task, parts, prompts.length)])
    context.emit({ type: 'log', level: 'info', text });
  return {
    lengths: Int32Array.from(parts.flatMap(({ index }) => [...index.lengths])),
    fingerprint: textSha256(JSON.stringify(parts.map(({ sha256 }) => sha256))),
    full: 0,
    read: async (row): Promise<Example> => {
      const { index, read } = parts[Math.floor(row / rowsOfPart)]!;
      const at = row % rowsOfPart;
      return { ids: await read(index.starts[at]!, index.lengths[at]!), responseStart: index.responseStarts[at]! };
    },
    close,
  };
}

/** Prompts as tokens; those of evaluation rows are left out. */
async function readPrompts(
  { task: settings, moreRows }: Recipe,
  task: PreparedTask,
  tokenizer: Tokenizer,
  written: WrittenRows | null,
  context: JobContext,
): Promise<{ prompts: Int32Array[]; notes: string[] }> {
  const reserved = longestAnswer(task.labels, settings.maxNewTokens);
  const evaluated = new Set(task.dev.map(({ prompt }) => prompt.join()));
  const leftOut: LeftOut = { labelled: 0, withoutText: 0 };
  const prompts: Int32Array[] = [];
  let shared = 0;
  const add = async (text: string): Promise<void> => {
    const prompt = promptTokens(tokenizer, text, settings.maxLength, reserved);
    if (evaluated.has(prompt.join())) shared += 1;
    else prompts.push(prompt);
    if (prompts.length % 500 === 0) await obeyStop(context);
  };
  const notes: string[] = [];
  if (moreRows !== undefined) {
    const { file, rows } = moreRows;
    const reading = { classes: task.labels?.classes ?? [], onRows: () => obeyStop(context), leftOut };
    for await (const render of promptsWithoutLabel(file, settings, reading)) {
      await add(await render());
      if (prompts.length === rows) break;
    }
    if (prompts.length === 0)
      throw new TritsmithError('bad-input', 'more-rows.none', { path: file, labelled: leftOut.labelled });
    notes.push(...leftOutNotes(file, leftOut, shared));
  }
  if (written !== null) {
    const render = await promptRenderer(settings);
    for (const row of written.rows) await add(await render(row));
    notes.push(...written.notes);
  }
  return { prompts, notes };
}

function leftOutNotes(file: string, { labelled, withoutText }: LeftOut, shared: number): string[] {
  const notes = [
    [labelled, 'have a label: only the training file’s labels are learned'],
    [withoutText, 'have no text'],
    [shared, 'are evaluation rows'],
  ] as const;
  return notes.flatMap(([count, why]) => (count === 0 ? [] : [`${count} rows of ${file} are left out: they ${why}.`]));
}

interface Answering {
  readonly spec: JobSpec;
  readonly task: PreparedTask;
  readonly tokenizer: Tokenizer;
  /** Folder of the model. */
  readonly teacher: string;
  readonly context: JobContext;
  readonly onRow: (done: number) => Promise<void>;
}

/** The teacher's answer to each prompt, as training rows have it, and how many there are of each class. */
async function answersOf(
  prompts: readonly Int32Array[],
  { spec: { recipe, folder }, task: { labels }, tokenizer, teacher, context, onRow }: Answering,
): Promise<{ answers: (readonly number[])[]; classes: number[] }> {
  if (labels) {
    const found = await onGraphEngine(teacher, recipe.threads, (network, head) =>
      classifyRows(network, head, prompts, labels.ids, onRow),
    );
    const classes = labels.ids.map((_, label) => found.filter(({ predicted }) => predicted === label).length);
    return { answers: found.map(({ predicted }) => [...labels.ids[predicted]!]), classes };
  }
  const rows = prompts.map((prompt) => ({ prompt, label: -1, reference: '', referenceIds: new Int32Array(0) }));
  const { answers } = await writeAnswers(folder, teacher, await modelConfiguration(teacher), tokenizer, rows, {
    maxNewTokens: recipe.task.maxNewTokens,
    threads: recipe.threads,
    stopping: () => context.stopRequested() !== null,
    onRow,
  });
  const { eosId } = tokenizer;
  const ended = (answer: readonly number[]): readonly number[] =>
    eosId === null || answer.length >= recipe.task.maxNewTokens ? answer : [...answer, eosId];
  return { answers: answers.map(ended), classes: [] };
}

function answeredNote({ labels }: PreparedTask, parts: readonly Part[], rows: number): string {
  const whole = `The teacher answered ${rows} rows without labels`;
  if (!labels) return `${whole}.`;
  const counts = labels.classes.map((label, at) => {
    const count = parts.reduce((sum, { about }) => sum + about.classes[at]!, 0);
    return `${label} ${Math.round((100 * count) / rows)} %`;
  });
  return `${whole}: ${counts.join(', ')}.`;
}
