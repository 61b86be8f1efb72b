/** What every reader of dataset files gives: rows of text by column, and what was wrong on the way. */
import type { ReadingFound } from '../../contract/table-reading.ts';

export type ProblemKind =
  'empty-line' | 'ragged' | 'invalid-json' | 'not-an-object' | 'too-long' | 'invalid-utf8' | 'nul';

/** Something in the file that a person should know; the row it names was left out unless the message says otherwise. */
export interface Problem {
  /** As in `DatasetRow`. */
  readonly row: number;
  readonly kind: ProblemKind;
  readonly message: string;
}

export interface ProblemSummary {
  readonly count: number;
  /** The first few. */
  readonly rows: readonly number[];
  /** What was wrong with the first of them. */
  readonly message: string;
  /** Whether the rows are read all the same. */
  readonly rowsKept: boolean;
}

/**
 * `messages`: lists of `role` and `content` (OpenAI); `sharegpt`: lists of `from` and `value`; `alpaca`: `instruction`, `input`, `output`;
 * `preference`: of `chosen` and `rejected` the chosen side; `prompt-completion` and `question-answer`: two columns, used as they are.
 */
export type ChatFormat = 'messages' | 'sharegpt' | 'alpaca' | 'preference' | 'prompt-completion' | 'question-answer';

/** Why a row has no text and answer, although its file is of a known format. */
export type ChatObstacle = 'chat-unreadable' | 'chat-tools' | 'chat-media' | 'chat-empty-turn' | 'chat-no-answer';

export interface ChatLayout {
  readonly format: ChatFormat;
  readonly promptColumn: string;
  readonly answerColumn: string;
  /** Whether the two columns are made from others, and with them `turnsColumn` (chats.ts). */
  readonly derived: boolean;
}

export interface DatasetRow {
  /** 1-based: the line in the file (TSV, CSV, JSONL; the header is line 1), the element (JSON), the row (Parquet, databases; of workbooks as their programs number it), the file (folders). */
  readonly row: number;
  readonly values: Readonly<Record<string, string>>;
  /** Why the columns that are made from a conversation (`ChatLayout`) are empty in it. */
  readonly leftOut?: ChatObstacle;
}

export type DatasetFormat = 'tsv' | 'csv' | 'jsonl' | 'json' | 'parquet' | 'xlsx' | 'ods' | 'sqlite' | 'folder';

export interface Dataset {
  readonly path: string;
  readonly format: DatasetFormat;
  /** Column names in the order of the file. Formats without a header: the names in the first thousand rows. */
  readonly columns: readonly string[];
  /** Where it is a file of conversations or instructions in a known format. */
  readonly chats: ChatLayout | null;
  /** How it is read: what was found out, and what was set. */
  readonly reading: ReadingFound;
  /** The first thousand problems of the latest iteration. */
  readonly problems: readonly Problem[];
  /** How many problems there were, kept or not. */
  readonly problemCount: number;
  /** The same by kind, with the first rows of each. */
  readonly problemKinds: ReadonlyMap<ProblemKind, ProblemSummary>;
  /** Reads the file from its beginning; may be called again. Memory does not grow with the file (plain JSON apart). */
  rows(): AsyncIterable<DatasetRow>;
}

const mostKept = 1000;
const shownRows = 5;

/** Collects problems up to a cap. */
export class Problems {
  readonly kept: Problem[] = [];
  readonly kinds = new Map<ProblemKind, { count: number; rows: number[]; message: string; rowsKept: boolean }>();
  count = 0;

  add(row: number, kind: ProblemKind, message: string): void {
    this.count++;
    const summary = this.kinds.get(kind) ?? { count: 0, rows: [], message, rowsKept: kind === 'invalid-utf8' };
    summary.count++;
    if (summary.rows.length < shownRows) summary.rows.push(row);
    this.kinds.set(kind, summary);
    if (this.kept.length < mostKept) this.kept.push({ row, kind, message });
  }

  clear(): void {
    this.kept.length = 0;
    this.kinds.clear();
    this.count = 0;
  }
}

/** What a reader of one format gives. */
export interface Source {
  readonly format: DatasetFormat;
  readonly columns: readonly string[];
  readonly reading: ReadingFound;
  rows(problems: Problems): AsyncIterable<DatasetRow>;
}

/**
 * A value of JSON or Parquet as the text that a template shows: lists of simple values are joined with spaces, dates are ISO 8601,
 * null is empty, anything else is JSON.
 */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '' : value.toISOString();
  const items: unknown[] | null = Array.isArray(value)
    ? value
    : ArrayBuffer.isView(value)
      ? Array.from(value as Uint8Array)
      : null;
  if (items?.every((item) => item === null || typeof item !== 'object')) return items.map(textOf).join(' ');
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? '';
}
