/**
 * A task's files as tokens: training examples and evaluation rows. Files are read row by row (`survey.ts` says how often), so that memory does
 * not grow with their text, and not again where an earlier job of the experiment has left what is asked for in its cache.
 */
import { z } from 'zod';
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import type { Example } from '../../training/batches.ts';
import { textSha256 } from '../../basics/file-digest.ts';
import { cachedTokens as tokensPath } from '../../experiment/folder.ts';
import { cutInTheMiddle, drawRows, type EvaluationRow, type KeptRow, KeptRows } from './evaluation-rows.ts';
import { promptTail, writtenAnswerTokens } from './answer-tokens.ts';
import { chooseLabelWords, type LabelWords, longestAnswer, mostClasses } from './label-words.ts';
import {
  answerOf,
  changedWhileRead,
  earlierSurvey,
  fileState,
  keepIfPossible,
  keepSurvey,
  placesOf,
  readTexts,
  type Survey,
  surveyKey,
  surveyTraining,
  tooManyLabels,
  valuesOf,
} from './survey.ts';
import { SharedTexts } from './row-survey.ts';
import { taskTexts, type TaskTexts, type WantedTexts } from './task-texts.ts';
import { type OnRows, usableRows } from './task-rows.ts';
import type { KnownTexts } from './text-prints.ts';
import { cachedTokens, earlierTokens, type TokenFile } from './token-file.ts';

/** An example and its place in the order of the seed. */
export interface PlacedExample extends Example {
  readonly index: number;
  /** It fills the longest length. */
  readonly full: boolean;
}

export interface PreparedTask {
  /** Digest of what decides its rows and tokens: the settings, the seed, the tokenizer, the files. */
  readonly key: string;
  /** null for generation. */
  readonly labels: LabelWords | null;
  readonly dev: readonly EvaluationRow[];
  /** Rows of the evaluation file where only some of them were drawn, else null. */
  readonly drawnFrom: number | null;
  /** Rows that could not be used, with the reason, for the log. */
  readonly notes: readonly string[];
  readonly trainRows: number;
  /** Tokenises the training rows, in the order of the file. @throws TritsmithError `bad-input` when the file has changed meanwhile */
  train(onRows?: OnRows): AsyncIterable<PlacedExample>;
  /** The texts of its rows. @throws TritsmithError `bad-input` when the file has changed meanwhile */
  texts(wanted: WantedTexts, onRows?: OnRows): Promise<TaskTexts>;
}

const noWait: OnRows = () => Promise.resolve();

/** Room for a written answer where nobody said how long one may be: a quarter of the row, at most 128 tokens. */
export function defaultAnswerTokens(maxLength: number): number {
  return Number.isFinite(maxLength) ? Math.min(128, Math.floor(maxLength / 4)) : 128;
}

/** Prompt tokens, cut in the middle when they leave no room for `reserved` response tokens. */
export function promptTokens(tokenizer: Tokenizer, prompt: string, maxLength: number, reserved: number): Int32Array {
  return cutInTheMiddle(tokenizer.encode(prompt), Math.max(1, maxLength - reserved));
}

function classIndex(labels: LabelWords, value: string, path: string): number {
  const index = labels.classes.indexOf(value);
  if (index < 0) throw new TritsmithError('bad-input', 'labels.unknown', { path, label: value, known: labels.classes });
  return index;
}

function labelWords(settings: TaskSettings, tokenizer: Tokenizer, { classes, tail }: Survey): LabelWords {
  if (classes.length > mostClasses) throw tooManyLabels(settings);
  const empty = Object.keys(settings.labelWords).filter((value) => !classes.includes(value));
  if (empty.length > 0)
    throw new TritsmithError('bad-input', 'labels.without-rows', { label: empty[0]!, known: classes });
  if (classes.length < 2) throw new TritsmithError('bad-input', 'labels.only-one', { label: classes[0] ?? '' });
  return chooseLabelWords(tokenizer, classes, settings, tail);
}

export interface TaskLabels {
  readonly labels: LabelWords;
  /** Class that a label value of any file stands for; null: no label. */
  classOf(value: string): string | null;
}

/**
 * The labels that training with these settings and this seed uses, without tokenising the rows.
 * @param experiment folder whose cache is used, where there is one
 * @throws TritsmithError `bad-input` as `prepareTask`, and for a task that is no classification
 */
export async function readLabels(
  settings: TaskSettings,
  tokenizer: Tokenizer,
  seed: number,
  experiment?: string,
): Promise<TaskLabels> {
  if (settings.kind !== 'classification')
    throw new TritsmithError('bad-input', 'labels.of-generation', { task: settings.name });
  const key = await surveyKey(settings, seed);
  let survey = experiment === undefined ? null : earlierSurvey(experiment, key);
  if (survey === null) {
    survey = await surveyTraining(settings, seed, null, noWait);
    if (experiment !== undefined) await keepSurvey(experiment, key, survey);
  }
  const { classOf } = valuesOf(survey, settings);
  return { labels: labelWords(settings, tokenizer, survey), classOf };
}

/** Their words alone. */
export async function readLabelWords(...asked: Parameters<typeof readLabels>): Promise<LabelWords> {
  return (await readLabels(...asked)).labels;
}

/** How many rows lose text, for the log; nothing where none does. */
export function fullRowsNote(rows: number, kind: string, { maxLength }: TaskSettings): string[] {
  if (rows === 0) return [];
  return [`${rows} ${kind} rows fill the longest length of ${maxLength} tokens; longer ones lose text in the middle.`];
}

export interface TaskReading {
  /** Folder of the experiment whose cache is used; absent: the files are read. */
  readonly experiment?: string | undefined;
  /** Called now and then with the rows that the present reading has seen; may throw to stop. */
  readonly onRows?: OnRows;
}

/** What is kept of evaluation rows beside their tokens. */
const aboutEvaluation = z.object({
  /** Class value or reference answer of each row. */
  answers: z.array(z.string()),
  /** Usable rows of the file that they were drawn from. */
  fileRows: z.int(),
  notes: z.array(z.string()),
});
type EvaluationFile = TokenFile<z.infer<typeof aboutEvaluation>>;

/** More text than this is not kept: the files are read again instead. */
const mostKeptCharacters = 2 ** 26;

/** Rows to be evaluated, and what there is to say about them. */
interface Evaluation {
  readonly rows: readonly EvaluationRow[];
  readonly fileRows: number;
  readonly notes: readonly string[];
}

async function readEvaluation(file: EvaluationFile, labelOf: (answer: string) => number, labels: LabelWords | null) {
  const { lengths, responseStarts, starts } = file.index;
  const rows: EvaluationRow[] = [];
  for (const [row, reference] of file.about.answers.entries()) {
    const ids = await file.read(starts[row]!, lengths[row]!);
    const label = labelOf(reference);
    const referenceIds = labels?.ids[label] ?? ids.slice(responseStarts[row]);
    rows.push({ prompt: ids.slice(0, responseStarts[row]), label, reference, referenceIds });
  }
  return { rows, fileRows: file.about.fileRows, notes: file.about.notes } satisfies Evaluation;
}

async function keepEvaluation(path: string, key: string, vocabSize: number, evaluation: Evaluation): Promise<void> {
  const answers = evaluation.rows.map(({ reference }) => reference);
  if (answers.reduce((sum, { length }) => sum + length, 0) > mostKeptCharacters) return;
  const file = await cachedTokens({
    path,
    key,
    about: aboutEvaluation,
    vocabSize,
    rows: evaluation.rows.length,
    write: async (writer) => {
      for (const [row, { prompt, referenceIds }] of evaluation.rows.entries())
        await writer.appendRow(row, Int32Array.from([...prompt, ...referenceIds]), prompt.length);
      return { answers, fileRows: evaluation.fileRows, notes: [...evaluation.notes] };
    },
  });
  await file.close();
}

/**
 * Reads a task and tokenises its evaluation rows, or takes both from the cache of the experiment. The order of rows depends on the seed alone.
 * @throws TritsmithError `bad-input` for missing columns, empty files, a single class, an evaluation label never seen in training
 */
export async function prepareTask(
  settings: TaskSettings,
  tokenizer: Tokenizer,
  seed: number,
  { experiment, onRows = noWait }: TaskReading = {},
): Promise<PreparedTask> {
  const fileKey = await surveyKey(settings, seed);
  const devState = settings.dev === undefined ? null : await fileState(settings.dev);
  const key = textSha256(JSON.stringify([fileKey, tokenizer.sha256, tokenizer.vocabSize, devState]));
  const about = aboutEvaluation;
  const path = experiment === undefined ? null : tokensPath(experiment, 'evaluation');
  const known = path === null ? null : await earlierTokens({ path, key, about });
  let survey = experiment === undefined ? null : earlierSurvey(experiment, fileKey);
  const heldRows = new KeptRows(tokenizer, settings);
  const looksForShared = known === null && settings.dev !== undefined && settings.rules !== undefined;
  let texts: KnownTexts | null = null;
  // Rows that are held out come from the same readings.
  if (survey === null || (known === null && settings.dev === undefined)) {
    const onTexts = looksForShared ? (found: KnownTexts) => (texts = found) : undefined;
    survey = await surveyTraining(settings, seed, known === null ? heldRows : null, onRows, onTexts);
    if (experiment !== undefined) await keepSurvey(experiment, fileKey, survey);
  }
  const { held, end } = survey;
  const labels = settings.kind === 'classification' ? labelWords(settings, tokenizer, survey) : null;
  const reserved = longestAnswer(labels, settings.maxNewTokens);
  if (reserved >= settings.maxLength)
    throw new TritsmithError('bad-input', 'task.no-room-for-prompt', { reserved, maxLength: settings.maxLength });
  const labelOf = (answer: string) => (labels ? classIndex(labels, answer, settings.dev ?? settings.train) : -1);
  const drawn = async (): Promise<Evaluation> => {
    const notes: string[] = [];
    if (looksForShared) texts ??= await readTexts(settings, seed, onRows);
    const shared = texts === null ? null : new SharedTexts(texts, settings);
    const found =
      settings.dev === undefined
        ? { drawn: heldRows.all(), fileRows: held }
        : await drawRows(settings.dev, settings, tokenizer, seed, {
            notes,
            onRows,
            answerOf: answerOf(survey, settings),
            check: ({ row, answer, values }) => {
              labelOf(answer);
              shared?.add(row, values);
            },
          });
    const rows = found.drawn.map(({ prompt, tail, answer }: KeptRow): EvaluationRow => {
      const label = labelOf(answer);
      return {
        prompt: cutInTheMiddle(prompt, Math.max(1, settings.maxLength - reserved)),
        label,
        reference: answer,
        referenceIds: labels ? labels.ids[label]! : writtenAnswerTokens(tokenizer, tail, answer, settings.maxNewTokens),
      };
    });
    const fullRows = rows.filter(({ prompt }) => prompt.length === settings.maxLength - reserved).length;
    const leak = shared?.finding() ?? null;
    if (leak !== null) notes.push(leak.text);
    // The task lives as long as the job, these need not.
    texts = null;
    notes.push(...fullRowsNote(fullRows, 'evaluation', settings));
    return { rows, fileRows: found.fileRows, notes };
  };
  let evaluation: Evaluation;
  if (known === null) {
    evaluation = await drawn();
    if (path !== null) await keepIfPossible(() => keepEvaluation(path, key, tokenizer.vocabSize, evaluation));
  } else evaluation = await readEvaluation(known, labelOf, labels).finally(() => known.close());
  const { rows: dev, fileRows, notes } = evaluation;
  return {
    key,
    labels,
    dev,
    drawnFrom: fileRows > dev.length ? fileRows : null,
    notes: [...survey.notes, ...notes],
    trainRows: end - held,
    train: (whenRead = noWait) => tokenised(settings, tokenizer, seed, survey, labels, whenRead),
    texts: (wanted, whenRead = noWait) => taskTexts(settings, seed, survey, wanted, whenRead),
  };
}

async function* tokenised(
  settings: TaskSettings,
  tokenizer: Tokenizer,
  seed: number,
  survey: Survey,
  labels: LabelWords | null,
  onRows: OnRows,
): AsyncGenerator<PlacedExample> {
  const response = (prompt: string, answer: string): Int32Array =>
    labels
      ? labels.ids[classIndex(labels, answer, settings.train)]!
      : writtenAnswerTokens(tokenizer, promptTail(prompt), answer, settings.maxNewTokens);
  const { rows, held, end } = survey;
  const places = placesOf(survey, seed);
  const answers = answerOf(survey, settings);
  let row = 0;
  for await (const { answer, prompt: render } of usableRows(settings.train, settings, [], onRows, answers)) {
    const place = places[row++] ?? end;
    if (place < held || place >= end) continue;
    const prompt = await render();
    const answerIds = response(prompt, answer);
    const head = promptTokens(tokenizer, prompt, settings.maxLength, answerIds.length);
    const ids = new Int32Array(head.length + answerIds.length);
    ids.set(head);
    ids.set(answerIds, head.length);
    yield { index: place - held, ids, responseStart: head.length, full: ids.length === settings.maxLength };
  }
  if (row !== rows) throw changedWhileRead(settings.train);
}
