/** A student on rows that came after its training: as good as then, asked for the same classes, unsure of how many? */
import { TritsmithError } from '../../contract/errors.ts';
import type { LabelScore, RuntimeMessage } from '../../contract/helper-protocol.ts';
import type { ModelEvaluation } from '../../contract/results.ts';
import { tell, type Told } from '../../contract/messages/told.ts';
import type { NewRowsReview, ReviewRequest } from '../../contract/new-rows.ts';
import { classChange, shareDifference } from '../../evaluation/two-samples.ts';
import { wilsonInterval } from '../../evaluation/wilson.ts';
import { readExperimentFile } from '../../experiment/record.ts';
import { readEvaluation, scoreTemperature } from '../../experiment/results.ts';
import { type ClassifiedRow, openClassifier } from './classify.ts';

const longestQuote = 500;
const rowsBetweenReports = 100;

const best = (scores: readonly LabelScore[]): LabelScore =>
  scores.reduce((a, b) => (b.logProbability > a.logProbability ? b : a));

/**
 * Says `reviewing` now and then, and `reviewed` at the end, or nothing when `signal` ended it.
 * @throws TritsmithError `unsupported` for a task whose answers are written; as `classifyTexts`
 */
export async function reviewRows(
  { experiment, model, path, file, reading, unsureBelow, examples }: ReviewRequest,
  say: (message: RuntimeMessage) => void,
  signal: AbortSignal,
): Promise<void> {
  const { task, teacher, seed } = readExperimentFile(experiment).recipe;
  if (task.kind !== 'classification')
    throw new TritsmithError('unsupported', 'review.of-generation', { task: task.name });
  const request = {
    path,
    tokenizer: teacher,
    task,
    seed,
    experiment,
    ...scoreTemperature(experiment, model),
    source: { file, ...(reading === undefined ? {} : { reading }) },
  };
  const classifier = await openClassifier(request);
  const tally = new Tally(classifier.classes, unsureBelow, examples, task.textColumns);
  try {
    for await (const row of classifier.rows(signal)) {
      tally.add(row);
      if (tally.rows > 0 && tally.rows % rowsBetweenReports === 0) say({ type: 'reviewing', rows: tally.rows });
    }
  } finally {
    await classifier.close();
  }
  if (signal.aborted) return;
  if (tally.rows === 0) throw new TritsmithError('bad-input', 'rows.none-usable', { path: file });
  say({ type: 'reviewed', review: compared(tally, readEvaluation(experiment, model), unsureBelow) });
}

/** What the new rows say by themselves. */
class Tally {
  readonly classes: readonly string[];
  readonly counts: readonly { answeredNow: number; labelled: number; right: number }[];
  readonly unknown = new Map<string, number>();
  readonly mistakes: NewRowsReview['mistakes'] = [];
  rows = 0;
  unsure = 0;
  readonly #place: ReadonlyMap<string, number>;
  readonly #unsureBelow: number;
  readonly #examples: number;
  readonly #textColumns: readonly string[];

  constructor(classes: readonly string[], unsureBelow: number, examples: number, textColumns: readonly string[]) {
    this.classes = classes;
    this.counts = classes.map(() => ({ answeredNow: 0, labelled: 0, right: 0 }));
    this.#place = new Map(classes.map((label, at) => [label, at]));
    this.#unsureBelow = unsureBelow;
    this.#examples = examples;
    this.#textColumns = textColumns;
  }

  add({ row, values, expected, scores }: ClassifiedRow): void {
    if (scores === null) return;
    this.rows += 1;
    const answer = best(scores);
    if (answer.probability < this.#unsureBelow) this.unsure += 1;
    this.counts[this.#place.get(answer.label)!]!.answeredNow += 1;
    if (expected === null) return;
    const known = this.counts[this.#place.get(expected) ?? -1];
    if (known === undefined) {
      this.unknown.set(expected, (this.unknown.get(expected) ?? 0) + 1);
      return;
    }
    known.labelled += 1;
    if (answer.label === expected) known.right += 1;
    else if (this.mistakes.length < this.#examples) {
      const text = this.#textColumns.map((name) => values[name] ?? '').join('\n');
      const { label, probability } = answer;
      this.mistakes.push({ row, text: text.slice(0, longestQuote), label: expected, answer: label, probability });
    }
  }
}

/** The tally beside the evaluation that the model had after its training. */
function compared(tally: Tally, before: ModelEvaluation | null, unsureBelow: number): NewRowsReview {
  const { classes, counts, unknown } = tally;
  const sum = (of: 'labelled' | 'right'): number => counts.reduce((total, each) => total + each[of], 0);
  const then = before?.metric === 'accuracy' ? shareOf(Math.round(before.value * before.rows), before.rows) : null;
  const now = shareOf(sum('right'), sum('labelled'));
  const found = then === null || now === null ? null : shareDifference([then.right, then.rows], [now.right, now.rows]);
  const answeredThen = classes.map((_, at) => before?.predictions.filter((index) => index === at).length ?? 0);
  const answeredNow = counts.map((each) => each.answeredNow);
  const figures = {
    rows: tally.rows,
    now,
    then,
    difference: found === null ? null : { value: found.difference, ci95: found.ci95 },
    unsure: tally.unsure,
    classes: classes.map((label, at) => ({ label, answeredThen: answeredThen[at]!, ...counts[at]! })),
    change: answeredThen.some((rows) => rows > 0) ? classChange(answeredThen, answeredNow) : null,
    unknown: [...unknown].map(([label, rows]) => ({ label, rows })).sort((a, b) => b.rows - a.rows),
    mistakes: tally.mistakes,
  };
  return { ...figures, findings: findingsOf(figures, unsureBelow) };
}

/** From here on chance is no explanation, and movements below the other change nobody's work. */
const byChanceAtMost = 0.01;
const movedAtLeast = 0.05;

function findingsOf(
  { rows, now, then, difference, unsure, change, unknown }: Omit<NewRowsReview, 'findings'>,
  below: number,
): Told[] {
  const found: Told[] = [];
  if (now === null) found.push(tell('review.no-labels', { rows }));
  else found.push(tell('review.accuracy', { now, ci95: now.ci95, then }));
  if (difference !== null) {
    const [low, high] = difference.ci95;
    if (high < 0) found.push(tell('review.worse', { atLeast: high }));
    else found.push(low > 0 ? tell('review.better') : tell('review.same'));
  }
  const strange = unknown.reduce((sum, each) => sum + each.rows, 0);
  if (strange > 0) found.push(tell('review.unknown-labels', { labels: unknown, rows: strange }));
  if (change !== null)
    found.push(
      change.byChance <= byChanceAtMost && change.distance >= movedAtLeast
        ? tell('review.other-classes', change)
        : tell('review.same-classes'),
    );
  found.push(tell('review.unsure', { unsure, rows, below }));
  return found;
}

function shareOf(right: number, rows: number): NewRowsReview['now'] {
  return rows === 0 ? null : { right, rows, ci95: wilsonInterval(right, rows) };
}
