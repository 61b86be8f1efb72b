/**
 * A task's files as tokens: training examples and evaluation rows. The training file is read once to count its rows, once to see which
 * are held out and which classes there are, and once more for the examples, so that memory does not grow with its text.
 */
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import type { Example } from '../../training/batches.ts';
import { Random } from '../../basics/random.ts';
import {
  cutInTheMiddle,
  drawRows,
  type EvaluationRow,
  type KeptRow,
  KeptRows,
  mostEvaluationRows,
} from './evaluation-rows.ts';
import { promptTail, writtenAnswerTokens } from './answer-tokens.ts';
import { chooseLabelWords, type LabelWords } from './label-words.ts';
import { type OnRows, usableRows } from './task-rows.ts';

/** An example and its place in the order of the seed. */
export interface PlacedExample extends Example {
  readonly index: number;
  /** It fills the longest length. */
  readonly full: boolean;
}

export interface PreparedTask {
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
}

const mostClasses = 1000;
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
  if (index < 0)
    throw new TritsmithError(
      'bad-input',
      `${path} has the label "${value}", which never occurs in the training rows.`,
      {
        reason: `The training rows know ${labels.classes.map((known) => `"${known}"`).join(', ')}.`,
        remedy: 'Correct the label, or add training rows for it.',
      },
    );
  return index;
}

/** What has to be known of the training file before any of its rows can be tokenised. */
interface Survey {
  /** Usable rows of the file. */
  readonly rows: number;
  /** Places below this one, in the order of the seed, are held out for evaluation. */
  readonly held: number;
  /** Places from this one on are not used. */
  readonly end: number;
  /** Empty where nobody asked for them. */
  readonly heldRows: readonly KeptRow[];
  /** Class values of the training rows, sorted; empty for generation. */
  readonly classes: readonly string[];
  /** End of the prompt of the file's first usable row. */
  readonly tail: string;
}

/** Place of each usable row, by its number in the file, in the order of the seed. */
function placesOf(rows: number, seed: number): Int32Array {
  const order = new Random(seed).shuffle(Int32Array.from({ length: rows }, (_, index) => index));
  const places = new Int32Array(rows);
  order.forEach((row, place) => {
    places[row] = place;
  });
  return places;
}

function changedWhileRead(path: string): TritsmithError {
  return new TritsmithError('bad-input', `${path} has changed while it was being read.`, {
    remedy: 'Start again when nothing writes to it any more.',
  });
}

async function countRows(settings: TaskSettings, notes: string[], onRows: OnRows): Promise<number> {
  const rows = usableRows(settings.train, settings, notes, onRows);
  let count = 0;
  while (!(await rows.next()).done) count += 1;
  return count;
}

async function surveyTraining(
  settings: TaskSettings,
  seed: number,
  kept: KeptRows | null,
  notes: string[],
  onRows: OnRows,
): Promise<Survey> {
  const rows = await countRows(settings, notes, onRows);
  const held =
    settings.dev === undefined
      ? Math.min(mostEvaluationRows(settings.maxLength), Math.max(1, Math.round(rows * settings.devFraction)))
      : 0;
  const end = Math.min(rows, settings.limit === undefined ? rows : held + settings.limit);
  if (held >= end)
    throw new TritsmithError('bad-input', 'No training row is left after holding rows out for evaluation.', {
      remedy: 'Give a separate evaluation file, or more rows.',
    });
  const places = placesOf(rows, seed);
  const classes = new Set<string>();
  let tail = '';
  let row = 0;
  for await (const taskRow of usableRows(settings.train, settings, [], onRows)) {
    const place = places[row++] ?? end;
    if (place < held) kept?.put(place, taskRow);
    else if (place < end && settings.kind === 'classification' && classes.size <= mostClasses)
      classes.add(taskRow.answer);
    if (row === 1) tail = promptTail(taskRow.prompt());
  }
  if (row !== rows) throw changedWhileRead(settings.train);
  return { rows, held, end, heldRows: kept?.all() ?? [], classes: [...classes].sort(), tail };
}

function labelWords(settings: TaskSettings, tokenizer: Tokenizer, { classes, tail }: Survey): LabelWords {
  if (classes.length > mostClasses)
    throw new TritsmithError('bad-input', `The label column "${settings.labelColumn}" has too many values.`, {
      reason: `There are more than ${mostClasses}: it looks like free text.`,
      remedy: 'Choose another label column, or the task kind "generation".',
    });
  const empty = Object.keys(settings.labelWords).filter((value) => !classes.includes(value));
  if (empty.length > 0)
    throw new TritsmithError('bad-input', `The class "${empty[0]}" has no training row.`, {
      reason: `The training rows hold ${classes.map((value) => `"${value}"`).join(', ')}.`,
      remedy: 'Add rows for it, or remove it from the label words.',
    });
  if (classes.length < 2)
    throw new TritsmithError('bad-input', `All training rows have the same label, "${classes[0]}".`, {
      remedy: 'A classifier needs rows of at least two classes. Check the label column.',
    });
  return chooseLabelWords(tokenizer, classes, settings.labelWords, tail);
}

/**
 * The label words that training with these settings and this seed uses, without tokenising the rows.
 * @throws TritsmithError `bad-input` as `prepareTask`, and for a task that is no classification
 */
export async function readLabelWords(settings: TaskSettings, tokenizer: Tokenizer, seed: number): Promise<LabelWords> {
  if (settings.kind !== 'classification')
    throw new TritsmithError('bad-input', `The task "${settings.name}" has no labels.`, {
      reason: 'Its students write text.',
      remedy: 'Let it write: tritsmith generate.',
    });
  return labelWords(settings, tokenizer, await surveyTraining(settings, seed, null, [], noWait));
}

/** How many rows lose text, for the log; nothing where none does. */
export function fullRowsNote(rows: number, kind: string, { maxLength }: TaskSettings): string[] {
  if (rows === 0) return [];
  return [`${rows} ${kind} rows fill the longest length of ${maxLength} tokens; longer ones lose text in the middle.`];
}

/**
 * Reads a task and tokenises its evaluation rows. The order of rows depends on the seed alone.
 * @param onRows called now and then with the rows that the present reading has seen; may throw to stop
 * @throws TritsmithError `bad-input` for missing columns, empty files, a single class, an evaluation label never seen in training
 */
export async function prepareTask(
  settings: TaskSettings,
  tokenizer: Tokenizer,
  seed: number,
  onRows: OnRows = noWait,
): Promise<PreparedTask> {
  const notes: string[] = [];
  const survey = await surveyTraining(settings, seed, new KeptRows(tokenizer, settings), notes, onRows);
  const { held, end, heldRows } = survey;
  const labels = settings.kind === 'classification' ? labelWords(settings, tokenizer, survey) : null;
  const longestLabel = labels ? Math.max(...labels.ids.map((ids) => ids.length)) : settings.maxNewTokens;
  if (longestLabel >= settings.maxLength)
    throw new TritsmithError('bad-input', 'The answers leave no room for the prompt.', {
      reason: `An answer may take ${longestLabel} tokens; the longest row is set to ${settings.maxLength}.`,
      remedy: 'Raise the longest length, or lower the longest answer.',
    });
  const labelOf = (answer: string) => (labels ? classIndex(labels, answer, settings.dev ?? settings.train) : -1);
  const { drawn, fileRows } =
    settings.dev === undefined
      ? { drawn: heldRows, fileRows: held }
      : await drawRows(settings.dev, settings, tokenizer, seed, { notes, onRows, check: labelOf });
  const dev = drawn.map(({ prompt, tail, answer }): EvaluationRow => {
    const label = labelOf(answer);
    return {
      prompt: cutInTheMiddle(prompt, Math.max(1, settings.maxLength - longestLabel)),
      label,
      reference: answer,
      referenceIds: labels ? labels.ids[label]! : writtenAnswerTokens(tokenizer, tail, answer, settings.maxNewTokens),
    };
  });
  const fullRows = dev.filter(({ prompt }) => prompt.length === settings.maxLength - longestLabel).length;
  notes.push(...fullRowsNote(fullRows, 'evaluation', settings));
  return {
    labels,
    dev,
    drawnFrom: fileRows > dev.length ? fileRows : null,
    notes,
    trainRows: end - held,
    train: (whenRead = noWait) => tokenised(settings, tokenizer, seed, survey, labels, whenRead),
  };
}

async function* tokenised(
  settings: TaskSettings,
  tokenizer: Tokenizer,
  seed: number,
  { rows, held, end }: Survey,
  labels: LabelWords | null,
  onRows: OnRows,
): AsyncGenerator<PlacedExample> {
  const response = (prompt: string, answer: string): Int32Array =>
    labels
      ? labels.ids[classIndex(labels, answer, settings.train)]!
      : writtenAnswerTokens(tokenizer, promptTail(prompt), answer, settings.maxNewTokens);
  const places = placesOf(rows, seed);
  let row = 0;
  for await (const { answer, prompt: render } of usableRows(settings.train, settings, [], onRows)) {
    const place = places[row++] ?? end;
    if (place < held || place >= end) continue;
    const prompt = render();
    const answerIds = response(prompt, answer);
    const head = promptTokens(tokenizer, prompt, settings.maxLength, answerIds.length);
    const ids = new Int32Array(head.length + answerIds.length);
    ids.set(head);
    ids.set(answerIds, head.length);
    yield { index: place - held, ids, responseStart: head.length, full: ids.length === settings.maxLength };
  }
  if (row !== rows) throw changedWhileRead(settings.train);
}
