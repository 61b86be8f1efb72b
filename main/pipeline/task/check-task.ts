/** Reads a task's files as training would, and reports what it would find: columns, labels, lengths, rows lost and why. */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import type { Told } from '../../contract/messages/sentences.ts';
import { tell, tellError } from '../../contract/messages/told.ts';
import type { RowProblem, SplitReport, TaskCheckRequest, TaskReport } from '../../contract/queries.ts';
import { newestRules, type TaskSettings } from '../../contract/recipe.ts';
import { type Dataset, openDataset } from '../../formats/datasets/index.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { modelConfiguration, modelTokenizer } from '../../models/open-model.ts';
import { type ColumnMapping, guessMapping } from './column-mapping.ts';
import { promptTail, writtenAnswerTokens } from './answer-tokens.ts';
import { chooseLabelWords, type LabelWords, longestAnswer, mostClasses } from './label-words.ts';
import { LengthHistogram } from './length-histogram.ts';
import { mostEvaluationRows } from './evaluation-rows.ts';
import { chatTemplateFor } from './chat-template.ts';
import { defaultAnswerTokens } from './task-data.ts';
import { findings, RowFacts, type RowSurvey, surveyRows, type SurveySettings } from './row-survey.ts';
import { promptRenderer, readingOfDev, requireColumns, splitColumns, usablePart, usesChat } from './task-rows.ts';
import { KnownTexts } from './text-prints.ts';

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
  readonly settings: SurveySettings & Partial<Pick<TaskSettings, 'labelWords'>>;
  readonly seed: number;
}

interface Split {
  readonly report: SplitReport;
  /** Rows of each class. */
  readonly labels: ReadonlyMap<string, number>;
  /** What training finds in these rows; null for evaluation rows. */
  readonly survey: RowSurvey | null;
  /** What the label values stand for; of evaluation rows: that of the training rows. */
  readonly classOf: (value: string) => string | null;
  readonly known: KnownTexts;
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
export async function checkTask({ settings, teacher, seed = 1 }: TaskCheckRequest): Promise<TaskReport> {
  const train = await openDataset(settings.train, settings.reading);
  const dev = settings.dev === undefined ? null : await openDataset(settings.dev, readingOfDev(settings.reading));
  const mapping = guessMapping(train, await sampleOf(train), settings);
  for (const dataset of dev === null ? [train] : [train, dev])
    requireColumns(dataset, [...mapping.textColumns, mapping.labelColumn]);
  requireColumns(train, splitColumns(settings));
  const context = teacher === undefined ? Infinity : (await modelConfiguration(teacher)).maxPositions;
  const maxLength = Math.min(settings.maxLength ?? 512, context);
  const reading: Reading = {
    mapping,
    render: await promptRenderer({ template: settings.template, textColumns: mapping.textColumns }),
    tokenizer: teacher === undefined ? null : await modelTokenizer(teacher),
    maxLength,
    maxNewTokens: settings.maxNewTokens ?? defaultAnswerTokens(maxLength),
    settings: { ...settings, ...mapping, devFraction: settings.devFraction ?? 0.1, maxLength },
    seed,
  };
  const trainSplit = await readSplit(train, reading, null);
  const devSplit = dev === null ? null : await readSplit(dev, reading, trainSplit);
  const unseen =
    mapping.kind === 'classification' && devSplit !== null
      ? [...devSplit.labels.keys()].filter((label) => !trainSplit.labels.has(label))
      : [];
  const blockers = blockersOf(trainSplit, devSplit, reading, unseen);
  const rowsOf = (kind: RowProblem['kind']): number =>
    devSplit?.report.problems.find((problem) => problem.kind === kind)?.rows ?? 0;
  const shared = rowsOf('shared-between-splits');
  return {
    columns: [...train.columns],
    mapping,
    chats: train.chats,
    chatTemplate:
      reading.tokenizer === null ? null : chatTemplateFor(reading.tokenizer, mapping.textColumns, train.chats),
    train: trainSplit.report,
    dev: devSplit?.report ?? null,
    sharedRows: shared,
    unseenDevLabels: unseen.slice(0, shownLabels),
    nearEqual: (trainSplit.survey?.values?.nearEqual ?? []).map((alike) => alike.map((one) => ({ ...one }))),
    leftOut: (trainSplit.survey?.values?.leftOut ?? []).map((one) => ({ ...one })),
    trainable: blockers.length === 0,
    blockers,
    warnings: warningsOf(trainSplit, devSplit, reading, shared, rowsOf('near-shared')),
  };
}

/** The first rows, for guessing what their columns are. */
export async function sampleOf(dataset: Dataset): Promise<Readonly<Record<string, string>>[]> {
  const rows: Readonly<Record<string, string>>[] = [];
  for await (const { values } of dataset.rows()) if (rows.push(values) >= sampleRows) break;
  return rows;
}

async function readSplit(dataset: Dataset, reading: Reading, train: Split | null): Promise<Split> {
  const { mapping, tokenizer, settings } = reading;
  const ofChat = usesChat(dataset, mapping);
  const lengths = new LengthHistogram();
  const tally = new Tally();
  const facts = new RowFacts({ ...settings, rules: newestRules });
  // What labels stand for, the words of the classes, and with them the room that a prompt has, are known when all rows are read.
  const usable: { row: number; answer: string; length: number; answerTokens: number }[] = [];
  let rows = 0;
  let tail = '';
  let more = false;
  let readBytes = 0;
  for await (const { row, values, leftOut } of dataset.rows()) {
    if (rows >= mostRows) {
      more = true;
      break;
    }
    rows++;
    for (const value of Object.values(values)) readBytes += Buffer.byteLength(value) + 1;
    const { answer, lacks } = usablePart(values, mapping);
    if (lacks !== null) {
      tally.add((ofChat ? leftOut : undefined) ?? `empty-${lacks}`, row);
      continue;
    }
    const prompt = await reading.render(values);
    if (usable.length === 0) tail = promptTail(prompt);
    facts.add(row, answer, values);
    const length = tokenizer === null ? prompt.length : tokenizer.encode(prompt).length;
    let answerTokens = 0;
    if (mapping.kind === 'generation' && tokenizer !== null)
      answerTokens =
        train === null
          ? writtenAnswerTokens(tokenizer, promptTail(prompt), answer, reading.maxNewTokens).length
          : longestAnswer(null, reading.maxNewTokens);
    usable.push({ row, answer, length, answerTokens });
  }
  const survey = train === null ? surveyRows(facts, settings, reading.seed) : null;
  const classOf = train?.classOf ?? survey?.values?.classOf ?? ((value: string) => value);
  const labels = new Map<string, number>();
  const known = new KnownTexts(facts.prints);
  const labelled: { row: number; label: string; length: number; answerTokens: number }[] = [];
  for (const [index, { row, answer, length, answerTokens }] of usable.entries()) {
    const label = classOf(answer);
    if (label === null) {
      tally.add('unlabelled', row);
      continue;
    }
    labels.set(label, (labels.get(label) ?? 0) + 1);
    lengths.add(length);
    labelled.push({ row, label, length, answerTokens });
    if (train !== null && mapping.kind === 'classification' && !train.labels.has(label))
      tally.add('unknown-label', row);
    const same = known.same(facts.prints, index);
    if (same !== null) tally.add(classOf(usable[same]!.answer) === label ? 'duplicate' : 'duplicate-conflict', row);
    else if (known.near(facts.prints, index) !== null) tally.add('near-duplicate', row);
    known.add(index);
    if (train === null) continue;
    if (train.known.same(facts.prints, index) !== null) tally.add('shared-between-splits', row);
    else if (train.known.near(facts.prints, index) !== null) tally.add('near-shared', row);
  }
  const words = train === null ? wordsOf(labels, tail, reading) : train.words;
  for (const { row, label, length, answerTokens } of tokenizer === null ? [] : labelled) {
    const answer =
      mapping.kind === 'classification' ? answerLength(words, train === null ? label : null) : answerTokens;
    if (length > reading.maxLength - answer) tally.add('too-long', row);
  }
  const { size: bytes } = await stat(dataset.path);
  // Not every format tells how many bytes of a row are names and marks, so this is an estimate and is reported as one.
  const times = more ? Math.max(1, bytes / Math.max(1, readBytes)) : 1;
  const report: SplitReport = {
    path: dataset.path,
    format: dataset.format,
    reading: dataset.reading,
    bytes,
    rows: Math.round((rows + unreadRows(dataset)) * times),
    usableRows: Math.round(labelled.length * times),
    labels: [...labels]
      .sort((a, b) => b[1] - a[1])
      .slice(0, shownLabels)
      .map(([label, count]) => ({ label: label.slice(0, 200), rows: count })),
    distinctLabels: labels.size,
    problems: [...unreadableRows(dataset), ...tally.problems(reading)],
    lengths: { unit: tokenizer === null ? 'characters' : 'tokens', ...lengths.summary() },
  };
  return { report, labels, survey, classOf, known, tail, words, checkedRows: more ? rows : null };
}

function wordsOf(labels: Split['labels'], tail: string, { mapping, tokenizer, settings }: Reading): LabelWords | null {
  if (mapping.kind !== 'classification' || tokenizer === null || labels.size === 0 || labels.size > mostClasses)
    return null;
  try {
    return chooseLabelWords(tokenizer, [...labels.keys()].sort(), settings, tail);
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
      'chat-unreadable': { effect: 'dropped', explanation: tell('row.chat-unreadable') },
      'chat-tools': { effect: 'dropped', explanation: tell('row.chat-tools') },
      'chat-media': { effect: 'dropped', explanation: tell('row.chat-media') },
      'chat-empty-turn': { effect: 'dropped', explanation: tell('row.chat-empty-turn') },
      'chat-no-answer': { effect: 'dropped', explanation: tell('row.chat-no-answer') },
      'too-long': { effect: 'cut', explanation: tell('row.too-long', { maxLength }) },
      duplicate: { effect: 'kept', explanation: tell('row.duplicate') },
      'duplicate-conflict': { effect: 'kept', explanation: tell('row.duplicate-conflict') },
      'unknown-label': { effect: 'kept', explanation: tell('row.unknown-label') },
      'shared-between-splits': { effect: 'kept', explanation: tell('row.shared-between-splits') },
      unlabelled: { effect: 'dropped', explanation: tell('row.no-label-value') },
      'near-duplicate': { effect: 'kept', explanation: tell('row.near-duplicate') },
      'near-shared': { effect: 'kept', explanation: tell('row.near-shared') },
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
  const { mapping, tokenizer, settings } = reading;
  const blockers: Told[] = [];
  if (train.survey?.refusal != null) blockers.push(tellError(train.survey.refusal));
  const known = [...train.labels.keys()].sort();
  if (train.report.usableRows === 0) blockers.push(tell('task.no-training-row'));
  if (dev?.report.usableRows === 0) blockers.push(tell('task.no-evaluation-row'));
  if (mapping.kind !== 'classification' || train.report.usableRows === 0) return blockers;
  if (known.length < 2) blockers.push(tell('labels.only-one', { label: known.join('') }));
  if (known.length > mostClasses)
    blockers.push(tell('labels.like-free-text', { column: mapping.labelColumn, values: known.length }));
  for (const label of Object.keys(settings.labelWords ?? {}))
    if (!train.labels.has(label))
      blockers.push(tell('labels.without-rows', { label, known: known.slice(0, shownLabels) }));
  if (unseen.length > 0) blockers.push(tell('labels.only-in-evaluation', { labels: unseen.slice(0, 10) }));
  if (tokenizer !== null && blockers.length === 0) {
    try {
      chooseLabelWords(tokenizer, known, settings, train.tail);
    } catch (thrown) {
      blockers.push(tellError(TritsmithError.from(thrown)));
    }
  }
  return blockers;
}

function warningsOf(
  train: Split,
  dev: Split | null,
  { mapping, maxLength, settings }: Reading,
  shared: number,
  nearlyShared: number,
): Told[] {
  const most = mostEvaluationRows(maxLength);
  const { usableRows, labels, problems } = train.report;
  const count = (kind: RowProblem['kind']): number => problems.find((problem) => problem.kind === kind)?.rows ?? 0;
  const share = (part: number, whole: number): number => part / Math.max(1, whole);
  const warnings: Told[] = [];
  if (train.survey !== null) warnings.push(...findings(train.survey));
  for (const split of [train, dev])
    if (split !== null && split.checkedRows !== null) {
      const { path, rows } = split.report;
      warnings.push(
        tell('task.only-first-rows', { path, checked: split.checkedRows, rows, training: split === train }),
      );
    }
  if (dev === null && train.survey?.split == null)
    warnings.push(tell('task.held-out', { share: settings.devFraction, most }));
  else if (dev !== null && dev.report.usableRows > most)
    warnings.push(tell('task.rows-drawn', { rows: dev.report.usableRows, most }));
  if (mapping.kind === 'classification') {
    const largest = labels[0];
    if (largest !== undefined && labels.length > 1 && largest.rows > 0.9 * usableRows)
      warnings.push(tell('labels.one-prevails', { label: largest.label, share: share(largest.rows, usableRows) }));
    const rare = [...train.labels].filter(([, rows]) => rows < fewRows).map(([label]) => label);
    if (rare.length > 0)
      warnings.push(tell('labels.rare', { labels: rare.slice(0, shownLabels), rows: fewRows, all: rare.length }));
  }
  const conflicts = count('duplicate-conflict');
  if (conflicts > 0) warnings.push(tell('rows.contradict', { rows: conflicts }));
  if (count('too-long') > 0.05 * usableRows)
    warnings.push(tell('rows.cut', { share: share(count('too-long'), usableRows) }));
  if (shared > 0)
    warnings.push(tell('rows.shared', { rows: shared, share: share(shared, dev?.report.usableRows ?? 0) }));
  if (nearlyShared > 0)
    warnings.push(
      tell('rows.nearly-shared', { rows: nearlyShared, share: share(nearlyShared, dev?.report.usableRows ?? 0) }),
    );
  return warnings;
}
