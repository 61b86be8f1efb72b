/** What the rows of a training file are together: their classes, which are held out, which have the same text. One survey for check, wizard and training. */
import { TritsmithError } from '../../contract/errors.ts';
import type { Told } from '../../contract/messages/sentences.ts';
import { tell } from '../../contract/messages/told.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import { mostEvaluationRows } from './evaluation-rows.ts';
import { heldOutRows, timeOf } from './held-out.ts';
import { type LabelValues, labelValues } from './label-values.ts';
import { KnownTexts, TextPrints } from './text-prints.ts';

const mostNamed = 5;

export type SurveySettings = Pick<
  TaskSettings,
  'kind' | 'dev' | 'devFraction' | 'textColumns' | 'rules' | 'mergeLabels' | 'unlabelled' | 'groupColumn' | 'timeColumn'
> & { readonly maxLength: number };

/** Of each usable row no more than the survey needs. */
export class RowFacts {
  readonly prints = new TextPrints();
  /** Rows of each label value, as the file has it. */
  readonly counts = new Map<string, number>();
  /** Row of the file, by usable row. */
  readonly rows: number[] = [];
  readonly groups: string[] = [];
  readonly times: number[] = [];
  /** The first row whose time can't be read, and how many there are. */
  badTime: { row: number; value: string; rows: number } | null = null;
  readonly #values: string[] = [];
  readonly #indices = new Map<string, number>();
  readonly #labels: number[] = [];
  readonly #settings: SurveySettings;
  readonly #mostValues: number;

  /** @param mostValues so many label values are told apart; a column with more is free text and will be refused */
  constructor(settings: SurveySettings, mostValues = Infinity) {
    this.#settings = settings;
    this.#mostValues = mostValues;
  }

  add(row: number, answer: string, values: Readonly<Record<string, string>>): void {
    const { kind, rules, textColumns, groupColumn, timeColumn } = this.#settings;
    this.rows.push(row);
    if (kind === 'classification') {
      let index = this.#indices.get(answer);
      if (index === undefined && this.#values.length < this.#mostValues) {
        index = this.#values.push(answer) - 1;
        this.#indices.set(answer, index);
      }
      this.#labels.push(index ?? 0);
      if (index !== undefined) this.counts.set(answer, (this.counts.get(answer) ?? 0) + 1);
    }
    if (rules !== undefined) this.prints.add(values, textColumns);
    if (groupColumn !== undefined) this.groups.push((values[groupColumn] ?? '').normalize('NFC').trim());
    if (timeColumn === undefined) return;
    const value = values[timeColumn] ?? '';
    const time = timeOf(value);
    this.times.push(time);
    if (Number.isNaN(time)) this.badTime = { ...(this.badTime ?? { row, value }), rows: (this.badTime?.rows ?? 0) + 1 };
  }

  /** Label value of a usable row. */
  value(row: number): string {
    return this.#values[this.#labels[row]!]!;
  }
}

/** Rows of an evaluation file whose text is also that, or nearly that, of a training row. */
export class SharedTexts {
  readonly same: number[] = [];
  readonly near: number[] = [];
  rows = 0;
  readonly #known: KnownTexts;
  readonly #own = new TextPrints();
  readonly #textColumns: readonly string[];

  constructor(known: KnownTexts, { textColumns }: Pick<TaskSettings, 'textColumns'>) {
    this.#known = known;
    this.#textColumns = textColumns;
  }

  add(row: number, values: Readonly<Record<string, string>>): void {
    this.#own.add(values, this.#textColumns);
    const place = this.rows++;
    if (this.#known.same(this.#own, place) !== null) this.same.push(row);
    else if (this.#known.near(this.#own, place) !== null) this.near.push(row);
  }

  /** For the log, as the check says it of the same files. */
  finding(): Told | null {
    const { same, near, rows } = this;
    if (same.length + near.length === 0) return null;
    const named = [...same, ...near].slice(0, mostNamed);
    return tell('split.leak-between-files', { same: same.length, near: near.length, rows, named });
  }
}

/** Rows count from 0, among those that are used. */
export interface Split {
  readonly held: Int32Array;
  /** Rows of the file that are held out and whose text is also that, or nearly that, of a training row. */
  readonly same: readonly number[];
  readonly near: readonly number[];
}

export interface RowSurvey {
  readonly settings: SurveySettings;
  /** Null for written answers. */
  readonly values: LabelValues | null;
  /** Usable rows that have a label, by their place among the usable rows. */
  readonly kept: readonly number[];
  /** Class of each of them; empty for written answers. */
  readonly classes: readonly string[];
  /** Null where there is an evaluation file, and for recipes of version 0.1 (docs/method.md, 10). */
  readonly split: Split | null;
  /** Why these rows can't be trained on as the settings ask; null: they can. */
  readonly refusal: TritsmithError | null;
}

/** Rows that are held out of `rows`, as far as there are so many that can be. */
export function wantedRows(
  rows: number,
  { devFraction, maxLength }: Pick<SurveySettings, 'devFraction' | 'maxLength'>,
) {
  return Math.min(mostEvaluationRows(maxLength), Math.max(1, Math.round(rows * devFraction)));
}

/** Whether the rows that are held out are chosen by class, group or time, and not by the seed alone. */
function splitIsChosen({ dev, rules, groupColumn, timeColumn }: SurveySettings): boolean {
  return dev === undefined && (rules !== undefined || groupColumn !== undefined || timeColumn !== undefined);
}

export function surveyRows(facts: RowFacts, settings: SurveySettings, seed: number): RowSurvey {
  const values = settings.kind === 'classification' ? labelValues(facts.counts, settings) : null;
  const kept: number[] = [];
  const classes: string[] = [];
  for (let row = 0; row < facts.rows.length; row += 1) {
    const found = values === null ? '' : values.classOf(facts.value(row));
    if (found === null) continue;
    kept.push(row);
    if (values !== null) classes.push(found);
  }
  const found = { settings, values, kept, classes };
  if (settings.rules !== undefined && values !== null && values.several !== null) {
    const refusal = new TritsmithError('bad-input', 'labels.several-in-cell', values.several);
    return { ...found, split: null, refusal };
  }
  if (!splitIsChosen(settings) || kept.length === 0) return { ...found, split: null, refusal: null };
  try {
    return { ...found, split: splitOf(facts, kept, classes, settings, seed), refusal: null };
  } catch (thrown) {
    return { ...found, split: null, refusal: TritsmithError.from(thrown) };
  }
}

/** @throws TritsmithError `bad-input` where no rows can be held out as the settings ask */
function splitOf(
  facts: RowFacts,
  kept: readonly number[],
  classes: readonly string[],
  settings: SurveySettings,
  seed: number,
): Split {
  const { groupColumn, timeColumn, rules } = settings;
  if (groupColumn !== undefined && timeColumn !== undefined)
    throw new TritsmithError('bad-input', 'split.group-and-time', { groupColumn, timeColumn });
  if (timeColumn !== undefined && facts.badTime !== null)
    throw new TritsmithError('bad-input', 'split.no-time', { column: timeColumn, ...facts.badTime });
  const held = heldOutRows(
    kept.length,
    wantedRows(kept.length, settings),
    {
      classes,
      groups: groupColumn === undefined ? null : kept.map((row) => facts.groups[row]!),
      times: timeColumn === undefined ? null : kept.map((row) => facts.times[row]!),
    },
    seed,
  );
  if (rules === undefined) return { held, same: [], near: [] };
  const known = new KnownTexts(facts.prints);
  const isHeld = new Set(held);
  kept.forEach((row, index) => {
    if (!isHeld.has(index)) known.add(row);
  });
  const same: number[] = [];
  const near: number[] = [];
  for (const index of held) {
    const row = kept[index]!;
    if (known.same(facts.prints, row) !== null) same.push(facts.rows[row]!);
    else if (known.near(facts.prints, row) !== null) near.push(facts.rows[row]!);
  }
  return { held, same, near };
}

/** What a person should know: said by the check, and by the log of a training. */
export function findings({ settings, values, kept, classes, split }: RowSurvey): Told[] {
  const told: Told[] = [];
  if (values !== null) {
    const { nearEqual, leftOut, perhapsNone, cleaned } = values;
    if (nearEqual.length > 0)
      told.push(
        tell('labels.near-equal', {
          groups: nearEqual.slice(0, mostNamed).map((alike) => [...alike]),
          all: nearEqual.length,
          merged: settings.mergeLabels === true,
        }),
      );
    if (leftOut.length > 0) told.push(tell('labels.left-out', { values: leftOut.slice(0, mostNamed) }));
    if (perhapsNone.length > 0) told.push(tell('labels.perhaps-none', { labels: perhapsNone }));
    if (cleaned > 0) told.push(tell('labels.cleaned', { rows: cleaned }));
  }
  if (split === null) return told;
  const { held, same, near } = split;
  const by = settings.timeColumn !== undefined ? 'time' : settings.groupColumn !== undefined ? 'group' : 'class';
  const column = settings.timeColumn ?? settings.groupColumn ?? '';
  told.push(
    tell('split.held-out', {
      held: held.length,
      rows: kept.length,
      by: by === 'class' && values === null ? 'seed' : by,
      column,
    }),
  );
  const tested = new Set([...held].map((row) => classes[row]!));
  const untested = values === null ? [] : [...values.classes.keys()].filter((label) => !tested.has(label)).sort();
  if (untested.length > 0)
    told.push(
      tell('split.only-training', {
        labels: untested.slice(0, 50),
        all: untested.length,
        single: untested.every((label) => values?.classes.get(label) === 1),
      }),
    );
  if (same.length + near.length > 0)
    told.push(
      tell('split.leak', {
        same: same.length,
        near: near.length,
        held: held.length,
        rows: [...same, ...near].slice(0, mostNamed),
      }),
    );
  return told;
}
