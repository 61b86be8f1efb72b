/** Reads a task's files as training would, and reports what it would find: columns, labels, lengths, rows lost and why. */
import { stat } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { TritsmithError } from '../../contract/errors.ts';
import type { Told } from '../../contract/messages/sentences.ts';
import { tell, tellError } from '../../contract/messages/told.ts';
import type { RowProblem, SplitReport, TaskCheckRequest, TaskReport } from '../../contract/queries.ts';
import { type Dataset, openDataset } from '../../formats/datasets/index.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { modelConfiguration, modelTokenizer } from '../../models/open-model.ts';
import { type ColumnMapping, guessMapping } from './column-mapping.ts';
import { promptTail, writtenAnswerTokens } from './answer-tokens.ts';
import { chooseLabelWords, type LabelWords, longestAnswer, mostClasses } from './label-words.ts';
import { LengthHistogram } from './length-histogram.ts';
import { mostEvaluationRows } from './evaluation-rows.ts';
import { defaultAnswerTokens } from './task-data.ts';
import { promptRenderer, readingOfDev, requireColumns, usablePart } from './task-rows.ts';

const sampleRows = 2000;
/** Rows that are looked at in one file: time and memory end there, the rest is counted by its bytes. */
export const mostRows = 1_000_000;
const shownLabels = 50;
const shownRows = 5;
/** Labels with fewer training rows are too rare to be learnt. */
const fewRows = 8;

/** How rows become prompts and how long they may be. */
interface Reading {
  readonly mapping: ColumnMapping;
  readonly render: (row: Readonly<Record<string, string>>) => Promise<string>;
  readonly tokenizer: Tokenizer | null;
  readonly maxLength: number;
  readonly maxNewTokens: number;
  /** As the settings give them, by class. */
  readonly labelWords: Readonly<Record<string, string>>;
}

interface Split {
  readonly report: SplitReport;
  readonly labels: ReadonlyMap<string, number>;
  /** First row of each text, by the text's digest. */
  readonly texts: ReadonlyMap<string, { row: number; label: string }>;
  /** End of the first usable row's prompt. */
  readonly tail: string;
  /** The words of the classes that the training rows have; null for written answers, and where the rows or settings do not allow a choice. */
  readonly words: LabelWords | null;
  /** How many of the rows were looked at; null: all. */
  readonly checkedRows: number | null;
}

/**
 * Checks the files of a task. What is wrong with rows is reported, not thrown.
 * @throws TritsmithError for a file that can't be read at all, or a column that it lacks
 */
export async function checkTask({ settings, teacher }: TaskCheckRequest): Promise<TaskReport> {
  const train = await openDataset(settings.train, settings.reading);
  const dev = settings.dev === undefined ? null : await openDataset(settings.dev, readingOfDev(settings.reading));
  const mapping = guessMapping(train.columns, await sampleOf(train), settings);
  for (const dataset of dev === null ? [train] : [train, dev])
    requireColumns(dataset, [...mapping.textColumns, mapping.labelColumn]);
  const context = teacher === undefined ? Infinity : (await modelConfiguration(teacher)).maxPositions;
  const reading: Reading = {
    mapping,
    render: await promptRenderer({ template: settings.template, textColumns: mapping.textColumns }),
    tokenizer: teacher === undefined ? null : await modelTokenizer(teacher),
    maxLength: Math.min(settings.maxLength ?? 512, context),
    maxNewTokens: settings.maxNewTokens ?? defaultAnswerTokens(Math.min(settings.maxLength ?? 512, context)),
    labelWords: settings.labelWords ?? {},
  };
  const trainSplit = await readSplit(train, reading, null);
  const devSplit = dev === null ? null : await readSplit(dev, reading, trainSplit);
  const unseen =
    mapping.kind === 'classification' && devSplit !== null
      ? [...devSplit.labels.keys()].filter((label) => !trainSplit.labels.has(label))
      : [];
  const blockers = blockersOf(trainSplit, devSplit, reading, unseen);
  const shared = devSplit?.report.problems.find(({ kind }) => kind === 'shared-between-splits')?.rows ?? 0;
  return {
    columns: [...train.columns],
    mapping,
    train: trainSplit.report,
    dev: devSplit?.report ?? null,
    sharedRows: shared,
    unseenDevLabels: unseen.slice(0, shownLabels),
    trainable: blockers.length === 0,
    blockers,
    warnings: warningsOf(trainSplit, devSplit, reading, shared, settings.devFraction ?? 0.1),
  };
}

/** The first rows, for guessing what their columns are. */
export async function sampleOf(dataset: Dataset): Promise<Readonly<Record<string, string>>[]> {
  const rows: Readonly<Record<string, string>>[] = [];
  for await (const { values } of dataset.rows()) if (rows.push(values) >= sampleRows) break;
  return rows;
}

async function readSplit(dataset: Dataset, reading: Reading, train: Split | null): Promise<Split> {
  const { mapping, tokenizer } = reading;
  const labels = new Map<string, number>();
  const texts = new Map<string, { row: number; label: string }>();
  const lengths = new LengthHistogram();
  const tally = new Tally();
  // The words of the classes, and with them the room that a prompt has, are known when all rows are read.
  const classified: { row: number; label: string; length: number }[] = [];
  let rows = 0;
  let tail = '';
  let usableRows = 0;
  let more = false;
  let readBytes = 0;
  for await (const { row, values } of dataset.rows()) {
    if (rows >= mostRows) {
      more = true;
      break;
    }
    rows++;
    for (const value of Object.values(values)) readBytes += Buffer.byteLength(value) + 1;
    const { answer: label, lacks } = usablePart(values, mapping);
    if (lacks !== null) {
      tally.add(`empty-${lacks}`, row);
      continue;
    }
    usableRows++;
    labels.set(label, (labels.get(label) ?? 0) + 1);
    if (train !== null && mapping.kind === 'classification' && !train.labels.has(label))
      tally.add('unknown-label', row);
    const prompt = await reading.render(values);
    if (usableRows === 1) tail = promptTail(prompt);
    const length = tokenizer === null ? prompt.length : tokenizer.encode(prompt).length;
    lengths.add(length);
    if (mapping.kind === 'classification') classified.push({ row, label, length });
    else if (tokenizer !== null) {
      const answer =
        train === null
          ? writtenAnswerTokens(tokenizer, promptTail(prompt), label, reading.maxNewTokens).length
          : longestAnswer(null, reading.maxNewTokens);
      if (length > reading.maxLength - answer) tally.add('too-long', row);
    }
    const key = createHash('sha256').update(prompt).digest('base64').slice(0, 22);
    const earlier = texts.get(key);
    if (earlier === undefined) texts.set(key, { row, label });
    else tally.add(earlier.label === label ? 'duplicate' : 'duplicate-conflict', row);
    if (train?.texts.has(key) === true) tally.add('shared-between-splits', row);
  }
  const words = train === null ? wordsOf(labels, tail, reading) : train.words;
  for (const { row, label, length } of tokenizer === null ? [] : classified)
    if (length > reading.maxLength - answerLength(words, train === null ? label : null)) tally.add('too-long', row);
  const { size: bytes } = await stat(dataset.path);
  // Not every format tells how many bytes of a row are names and marks, so this is an estimate and is reported as one.
  const times = more ? Math.max(1, bytes / Math.max(1, readBytes)) : 1;
  const report: SplitReport = {
    path: dataset.path,
    format: dataset.format,
    reading: dataset.reading,
    bytes,
    rows: Math.round((rows + unreadRows(dataset)) * times),
    usableRows: Math.round(usableRows * times),
    labels: [...labels]
      .sort((a, b) => b[1] - a[1])
      .slice(0, shownLabels)
      .map(([label, count]) => ({ label: label.slice(0, 200), rows: count })),
    distinctLabels: labels.size,
    problems: [...unreadableRows(dataset), ...tally.problems(reading)],
    lengths: { unit: tokenizer === null ? 'characters' : 'tokens', ...lengths.summary() },
  };
  return { report, labels, texts, tail, words, checkedRows: more ? rows : null };
}

function wordsOf(
  labels: Split['labels'],
  tail: string,
  { mapping, tokenizer, labelWords }: Reading,
): LabelWords | null {
  if (mapping.kind !== 'classification' || tokenizer === null || labels.size === 0 || labels.size > mostClasses)
    return null;
  try {
    return chooseLabelWords(tokenizer, [...labels.keys()].sort(), labelWords, tail);
  } catch {
    // It is among what keeps the task from training (`blockersOf`).
    return null;
  }
}

/** Tokens that a prompt leaves free, as in training: those of the row's own class; in evaluation (`label` null) those of the longest one. */
function answerLength(words: LabelWords | null, label: string | null): number {
  if (words === null) return 1;
  return label === null ? longestAnswer(words, 1) : words.ids[words.classes.indexOf(label)]!.length;
}

type Tallied = Exclude<RowProblem['kind'], 'unreadable' | 'missing-column'>;

class Tally {
  readonly #rows = new Map<Tallied, { rows: number; examples: number[] }>();

  add(kind: Tallied, row: number): void {
    let entry = this.#rows.get(kind);
    if (entry === undefined) this.#rows.set(kind, (entry = { rows: 0, examples: [] }));
    entry.rows++;
    if (entry.examples.length < shownRows) entry.examples.push(row);
  }

  problems({ maxLength }: Reading): RowProblem[] {
    const meaning: Record<Tallied, Pick<RowProblem, 'effect' | 'explanation'>> = {
      'empty-text': { effect: 'dropped', explanation: tell('row.empty-text') },
      'empty-label': { effect: 'dropped', explanation: tell('row.empty-label') },
      'too-long': { effect: 'cut', explanation: tell('row.too-long', { maxLength }) },
      duplicate: { effect: 'kept', explanation: tell('row.duplicate') },
      'duplicate-conflict': { effect: 'kept', explanation: tell('row.duplicate-conflict') },
      'unknown-label': { effect: 'kept', explanation: tell('row.unknown-label') },
      'shared-between-splits': { effect: 'kept', explanation: tell('row.shared-between-splits') },
    };
    return [...this.#rows].map(([kind, entry]) => ({ kind, ...meaning[kind], ...entry }));
  }
}

/** Rows that are in the file and could not be read. */
function unreadRows(dataset: Dataset): number {
  return [...dataset.problemKinds.values()].reduce((sum, { count, rowsKept }) => sum + (rowsKept ? 0 : count), 0);
}

function unreadableRows(dataset: Dataset): RowProblem[] {
  return [...dataset.problemKinds.values()].map(({ count, rows, message, rowsKept }) => ({
    kind: 'unreadable',
    effect: rowsKept ? 'kept' : 'dropped',
    rows: count,
    examples: [...rows],
    explanation: { text: message },
  }));
}

function blockersOf(train: Split, dev: Split | null, reading: Reading, unseen: readonly string[]): Told[] {
  const { mapping, tokenizer, labelWords } = reading;
  const blockers: Told[] = [];
  const known = [...train.labels.keys()].sort();
  if (train.report.usableRows === 0) blockers.push(tell('task.no-training-row'));
  if (dev?.report.usableRows === 0) blockers.push(tell('task.no-evaluation-row'));
  if (mapping.kind !== 'classification' || train.report.usableRows === 0) return blockers;
  if (known.length < 2) blockers.push(tell('labels.only-one', { label: known.join('') }));
  if (known.length > mostClasses)
    blockers.push(tell('labels.like-free-text', { column: mapping.labelColumn, values: known.length }));
  for (const label of Object.keys(labelWords))
    if (!train.labels.has(label))
      blockers.push(tell('labels.without-rows', { label, known: known.slice(0, shownLabels) }));
  if (unseen.length > 0) blockers.push(tell('labels.only-in-evaluation', { labels: unseen.slice(0, 10) }));
  if (tokenizer !== null && blockers.length === 0) {
    try {
      chooseLabelWords(tokenizer, known, labelWords, train.tail);
    } catch (thrown) {
      blockers.push(tellError(TritsmithError.from(thrown)));
    }
  }
  return blockers;
}

function warningsOf(
  train: Split,
  dev: Split | null,
  { mapping, maxLength }: Reading,
  shared: number,
  devFraction: number,
): Told[] {
  const most = mostEvaluationRows(maxLength);
  const { usableRows, labels, problems } = train.report;
  const count = (kind: RowProblem['kind']): number => problems.find((problem) => problem.kind === kind)?.rows ?? 0;
  const share = (part: number, whole: number): number => part / Math.max(1, whole);
  const warnings: Told[] = [];
  for (const split of [train, dev])
    if (split !== null && split.checkedRows !== null) {
      const { path, rows } = split.report;
      warnings.push(
        tell('task.only-first-rows', { path, checked: split.checkedRows, rows, training: split === train }),
      );
    }
  if (dev === null) warnings.push(tell('task.held-out', { share: devFraction, most }));
  else if (dev.report.usableRows > most) warnings.push(tell('task.rows-drawn', { rows: dev.report.usableRows, most }));
  if (mapping.kind === 'classification') {
    const largest = labels[0];
    if (largest !== undefined && labels.length > 1 && largest.rows > 0.9 * usableRows)
      warnings.push(tell('labels.one-prevails', { label: largest.label, share: share(largest.rows, usableRows) }));
    const rare = labels.filter(({ rows }) => rows < fewRows).map(({ label }) => label);
    if (rare.length > 0) warnings.push(tell('labels.rare', { labels: rare.slice(0, 10), rows: fewRows }));
  }
  const conflicts = count('duplicate-conflict');
  if (conflicts > 0) warnings.push(tell('rows.contradict', { rows: conflicts }));
  if (count('too-long') > 0.05 * usableRows)
    warnings.push(tell('rows.cut', { share: share(count('too-long'), usableRows) }));
  if (shared > 0)
    warnings.push(tell('rows.shared', { rows: shared, share: share(shared, dev?.report.usableRows ?? 0) }));
  return warnings;
}
