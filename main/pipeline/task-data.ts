/** A task's files as tokens: training examples and evaluation rows. */
import { TritsmithError } from '../contract/errors.ts';
import type { TaskSettings } from '../contract/recipe.ts';
import { openDataset } from '../formats/datasets/index.ts';
import { compileTemplate, type Tokenizer } from '../formats/tokenizers/index.ts';
import type { Example } from '../training/batches.ts';
import { Random } from '../training/random.ts';
import { answerTokens, chooseLabelWords, type LabelWords } from './label-words.ts';

/** A row to be answered. */
export interface EvaluationRow {
  readonly prompt: Int32Array;
  /** Index of the right class; -1 for generation. */
  readonly label: number;
  /** Reference answer (generation) or class value. */
  readonly reference: string;
  /** Tokens of the reference answer; for generation without the end token. */
  readonly referenceIds: Int32Array;
}

export interface PreparedTask {
  /** null for generation. */
  readonly labels: LabelWords | null;
  readonly train: readonly Example[];
  readonly dev: readonly EvaluationRow[];
  /** Rows that could not be used, with the reason, for the log. */
  readonly notes: readonly string[];
}

interface Row {
  readonly prompt: string;
  readonly answer: string;
}

/** How much of a prompt's end is looked at to see how an answer joins it. */
const tailCharacters = 8;

/** A reference answer as it follows the prompt: after a space unless the prompt ends with white space. */
function generatedAnswer(promptTail: string, answer: string): string {
  return /\s$/.test(promptTail) ? answer : ` ${answer}`;
}

/** The default prompt: the columns one below the other, and a cue to answer when several columns need telling apart. */
export function defaultTemplate(textColumns: readonly string[]): string {
  return textColumns.map((column) => `{{ row[${JSON.stringify(column)}] }}`).join('\n') + '\n';
}

/** Room for a written answer where nobody said how long one may be: a quarter of the row, at most 128 tokens. */
export function defaultAnswerTokens(maxLength: number): number {
  return Number.isFinite(maxLength) ? Math.min(128, Math.floor(maxLength / 4)) : 128;
}

async function readRows(path: string, settings: TaskSettings, notes: string[]): Promise<Row[]> {
  const dataset = await openDataset(path);
  const missing = [...settings.textColumns, settings.labelColumn].filter((name) => !dataset.columns.includes(name));
  if (missing.length > 0)
    throw new TritsmithError('bad-input', `${path} has no column "${missing[0]}".`, {
      reason: `Its columns are ${dataset.columns.join(', ')}.`,
      remedy: 'Choose the text and label columns again.',
    });
  const render = compileTemplate(settings.template === '' ? defaultTemplate(settings.textColumns) : settings.template);
  const rows: Row[] = [];
  let dropped = 0;
  for await (const { values } of dataset.rows()) {
    const answer = (values[settings.labelColumn] ?? '').trim();
    if (answer === '' || settings.textColumns.every((column) => (values[column] ?? '').trim() === '')) {
      dropped += 1;
      continue;
    }
    rows.push({ prompt: render(values), answer });
  }
  if (dropped > 0) notes.push(`${dropped} rows of ${path} have no text or no label and are left out.`);
  for (const { row, message } of dataset.problems.slice(0, 5)) notes.push(`${path}, row ${row}: ${message}`);
  if (rows.length === 0)
    throw new TritsmithError('bad-input', `${path} holds no usable row.`, {
      remedy: 'Check that the text and label columns are the right ones and not empty.',
    });
  return rows;
}

/** Prompt tokens, cut in the middle when they leave no room for `reserved` response tokens. */
export function promptTokens(tokenizer: Tokenizer, prompt: string, maxLength: number, reserved: number): Int32Array {
  const ids = tokenizer.encode(prompt);
  const room = Math.max(1, maxLength - reserved);
  if (ids.length <= room) return Int32Array.from(ids);
  const head = Math.ceil(room / 2);
  return Int32Array.from([...ids.slice(0, head), ...ids.slice(ids.length - (room - head))]);
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

/** Training rows in the order of the seed, and the rows held out of them where the task has no evaluation file. */
async function trainingRows(
  settings: TaskSettings,
  seed: number,
  notes: string[],
): Promise<{ train: Row[]; held: Row[] }> {
  const all = new Random(seed).shuffle(await readRows(settings.train, settings, notes));
  const count = settings.dev === undefined ? Math.max(1, Math.round(all.length * settings.devFraction)) : 0;
  const train = all.slice(count, settings.limit === undefined ? undefined : count + settings.limit);
  if (train.length === 0)
    throw new TritsmithError('bad-input', 'No training row is left after holding rows out for evaluation.', {
      remedy: 'Give a separate evaluation file, or more rows.',
    });
  return { train, held: all.slice(0, count) };
}

function labelWords(settings: TaskSettings, tokenizer: Tokenizer, train: readonly Row[]): LabelWords {
  const classes = [...new Set(train.map(({ answer }) => answer))].sort();
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
  if (classes.length > 1000)
    throw new TritsmithError('bad-input', `The label column "${settings.labelColumn}" has ${classes.length} values.`, {
      reason: 'It looks like free text.',
      remedy: 'Choose another label column, or the task kind "generation".',
    });
  return chooseLabelWords(tokenizer, classes, settings.labelWords, train[0]!.prompt.slice(-tailCharacters));
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
  return labelWords(settings, tokenizer, (await trainingRows(settings, seed, [])).train);
}

/**
 * Reads and tokenises a task. The order of rows depends on the seed alone.
 * @throws TritsmithError `bad-input` for missing columns, empty files, a single class, an evaluation label never seen in training
 */
export async function prepareTask(settings: TaskSettings, tokenizer: Tokenizer, seed: number): Promise<PreparedTask> {
  const notes: string[] = [];
  const { train: trainRows, held } = await trainingRows(settings, seed, notes);
  const devRows = settings.dev === undefined ? held : await readRows(settings.dev, settings, notes);
  const promptTail = trainRows[0]!.prompt.slice(-tailCharacters);
  const labels = settings.kind === 'classification' ? labelWords(settings, tokenizer, trainRows) : null;

  const end = tokenizer.eosId === null ? [] : [tokenizer.eosId];
  const response = (row: Row, path: string): Int32Array =>
    labels
      ? labels.ids[classIndex(labels, row.answer, path)]!
      : Int32Array.from([
          ...tokenizer
            .encode(` ${row.answer}`, { addSpecialTokens: false })
            .slice(0, settings.maxNewTokens - end.length),
          ...end,
        ]);
  const longestLabel = labels ? Math.max(...labels.ids.map((ids) => ids.length)) : settings.maxNewTokens;
  if (longestLabel >= settings.maxLength)
    throw new TritsmithError('bad-input', 'The answers leave no room for the prompt.', {
      reason: `An answer may take ${longestLabel} tokens; the longest row is set to ${settings.maxLength}.`,
      remedy: 'Raise the longest length, or lower the longest answer.',
    });
  let cut = 0;
  const prompt = (row: Row, reserved: number): Int32Array => {
    const ids = promptTokens(tokenizer, row.prompt, settings.maxLength, reserved);
    if (ids.length === settings.maxLength - reserved) cut += 1;
    return ids;
  };
  const train = trainRows.map((row): Example => {
    const answer = response(row, settings.train);
    const head = prompt(row, answer.length);
    const ids = new Int32Array(head.length + answer.length);
    ids.set(head);
    ids.set(answer, head.length);
    return { ids, responseStart: head.length };
  });
  const dev = devRows.map((row): EvaluationRow => ({
    prompt: prompt(row, longestLabel),
    label: labels ? classIndex(labels, row.answer, settings.dev ?? settings.train) : -1,
    reference: row.answer,
    referenceIds: labels
      ? labels.ids[classIndex(labels, row.answer, settings.dev ?? settings.train)]!
      : answerTokens(tokenizer, promptTail, generatedAnswer(promptTail, row.answer)).slice(0, settings.maxNewTokens),
  }));
  if (cut > 0)
    notes.push(
      `${cut} rows fill the longest length of ${settings.maxLength} tokens; longer ones lose text in the middle.`,
    );
  return { labels, train, dev, notes };
}
