/** The rows that models are evaluated on. They are held in memory as tokens: how many there may be, and how much text, is bounded whatever the file. */
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { Random } from '../../basics/random.ts';
import { promptTail } from './answer-tokens.ts';
import { type OnRows, type TaskRow, readingOfDev, usableRows } from './task-rows.ts';

/** A row to be answered. */
export interface EvaluationRow {
  readonly prompt: Int32Array;
  /** Index of the right class; -1 for generation. */
  readonly label: number;
  /** Reference answer (generation) or class value. */
  readonly reference: string;
  /** Tokens of the reference answer; for generation with the end token, as in training. */
  readonly referenceIds: Int32Array;
}

/** A row whose prompt is cut to the longest length, but not yet to what the answers leave of it. */
export interface KeptRow {
  readonly prompt: Int32Array;
  /** How the prompt's text ends. */
  readonly tail: string;
  readonly answer: string;
}

const mostTokens = 2 ** 28;
const mostAnswerCharacters = 2 ** 29;

/** Rows that are evaluated at most: more would sharpen no figure and take hours. Fewer where long rows would take more than a gigabyte. */
export function mostEvaluationRows(maxLength: number): number {
  return Math.min(100_000, Math.floor(mostTokens / maxLength));
}

/** Which of `length` tokens are lost where there is room for `room`: those in the middle, `[from, to)`; null when all fit. */
export function lostInTheMiddle(length: number, room: number): readonly [number, number] | null {
  const head = Math.ceil(room / 2);
  return length <= room ? null : [head, length - (room - head)];
}

/** `ids`, or its first and last tokens where there are more than `room`. What was cut to a larger room may be cut again. */
export function cutInTheMiddle(ids: ArrayLike<number>, room: number): Int32Array {
  const all = Int32Array.from(ids);
  const lost = lostInTheMiddle(all.length, room);
  if (lost === null) return all;
  const cut = new Int32Array(room);
  cut.set(all.subarray(0, lost[0]));
  cut.set(all.subarray(lost[1]), lost[0]);
  return cut;
}

/** Rows by place; a later one may replace an earlier one. */
export class KeptRows {
  readonly #rows: KeptRow[] = [];
  readonly #tokenizer: Tokenizer;
  readonly #settings: TaskSettings;
  #characters = 0;

  constructor(tokenizer: Tokenizer, settings: TaskSettings) {
    this.#tokenizer = tokenizer;
    this.#settings = settings;
  }

  /** @throws TritsmithError `bad-input` when the answers together take too much memory */
  async put(place: number, { prompt: render, answer }: TaskRow): Promise<void> {
    this.#characters += answer.length - (this.#rows[place]?.answer.length ?? 0);
    if (this.#characters > mostAnswerCharacters)
      throw new TritsmithError('bad-input', 'rows.answers-too-large', { characters: mostAnswerCharacters });
    const prompt = await render();
    const ids = cutInTheMiddle(this.#tokenizer.encode(prompt), this.#settings.maxLength);
    this.#rows[place] = { prompt: ids, tail: promptTail(prompt), answer };
  }

  all(): KeptRow[] {
    return this.#rows;
  }
}

/**
 * The rows of the evaluation file, in its order: all, or as many as are evaluated at most, drawn by the seed (Vitter's algorithm R).
 * @param answerOf as in `usableRows`
 * @param check called with every row, drawn or not
 * @returns also how many usable rows the file has
 * @throws TritsmithError as `usableRows` and `KeptRows`, and what `check` throws
 */
export async function drawRows(
  file: string,
  settings: TaskSettings,
  tokenizer: Tokenizer,
  seed: number,
  {
    notes,
    onRows,
    answerOf,
    check,
  }: {
    notes: string[];
    onRows: OnRows;
    answerOf: ((value: string) => string | null) | undefined;
    check: (row: TaskRow) => void;
  },
): Promise<{ drawn: KeptRow[]; fileRows: number }> {
  const most = mostEvaluationRows(settings.maxLength);
  const random = new Random(seed);
  const kept = new KeptRows(tokenizer, settings);
  /** Row in the file, by place. */
  const rowOf: number[] = [];
  let row = 0;
  for await (const taskRow of usableRows(
    file,
    { ...settings, reading: readingOfDev(settings.reading) },
    notes,
    onRows,
    answerOf,
  )) {
    check(taskRow);
    const place = row < most ? row : random.below(row + 1);
    if (place < most) {
      await kept.put(place, taskRow);
      rowOf[place] = row;
    }
    row += 1;
  }
  const rows = kept.all();
  const order = [...rowOf.keys()].sort((a, b) => rowOf[a]! - rowOf[b]!);
  if (row > most)
    notes.push(
      `${most.toLocaleString('en')} of the ${row.toLocaleString('en')} rows of ${file}, drawn by the seed, are evaluated: more would take hours and say no more.`,
    );
  return { drawn: order.map((place) => rows[place]!), fileRows: row };
}
