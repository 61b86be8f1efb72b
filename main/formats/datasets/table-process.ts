/** What a process that decodes a whole table (workbook, database) is asked, and what it answers. */
import type { SerialisedError } from '../../contract/errors.ts';
import type { ReadingFound } from '../../contract/table-reading.ts';

export type TableRequest =
  /** Finds the table; with `keep` its rows are then fetched with `rows`. */
  | {
      readonly ask: 'open';
      readonly file: string;
      readonly sheet: string | undefined;
      readonly header: ReadingFound['header'];
      readonly keep: boolean;
    }
  | { readonly ask: 'rows'; readonly count: number };

export interface TableFound {
  readonly format: 'xlsx' | 'ods' | 'sqlite';
  readonly columns: string[];
  readonly sheet: string;
  readonly sheets: { readonly name: string; readonly rows: number }[];
  readonly header: ReadingFound['header'];
}

/** A row by its number in the file; without any value it is empty. */
export interface TableRow {
  readonly row: number;
  readonly values: readonly string[];
}

export interface TableReply {
  readonly table?: TableFound;
  readonly rows?: TableRow[];
  readonly error?: SerialisedError;
}
