/** Workbooks and databases as datasets: their process finds the table, and its rows come in batches. */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { nothingToSet, type ReadingOptions } from '../../contract/table-reading.ts';
import type { Source } from './dataset.ts';
import { isolatedReader, type ReaderKind } from './isolated-reader.ts';
import type { TableReply, TableRequest } from './table-process.ts';

const rowsInBatch = 2000;

/** Unpacked, a workbook is some ten times larger, and its cells as objects some ten times more. */
export const workbook: ReaderKind = {
  entry: new URL('./workbook-process.ts', import.meta.url),
  name: 'a workbook',
  seconds: (size) => 2 + 10 * size,
  megabytes: (size) => 150 * size,
};

export const database: ReaderKind = {
  entry: new URL('./database-process.ts', import.meta.url),
  name: 'SQLite',
  seconds: (size) => 5 + size,
  megabytes: (size) => 4 * size,
};

/** @throws TritsmithError `damaged`, `bad-input` (no such sheet; more time or memory than its size justifies), `unsupported`, also while iterating */
export async function openWholeTable(kind: ReaderKind, file: string, options: ReadingOptions): Promise<Source> {
  const size = await sizeOf(file);
  const question = (sheet: string | undefined, keep: boolean) =>
    ({ ask: 'open', file, sheet, header: options.header ?? null, keep }) as const;
  const reader = isolatedReader<TableRequest, TableReply>(kind, file);
  let found: NonNullable<TableReply['table']>;
  try {
    found = (await reader.ask(question(options.sheet, false), size)).table!;
  } finally {
    reader.release();
  }
  const { columns, sheet, sheets, header, format } = found;
  return {
    format,
    columns,
    reading: { ...nothingToSet, sheet, sheets, header },
    async *rows(problems) {
      const reading = isolatedReader<TableRequest, TableReply>(kind, file);
      try {
        await reading.ask(question(sheet, true), size);
        for (;;) {
          const { rows } = await reading.ask({ ask: 'rows', count: rowsInBatch }, size);
          if (rows!.length === 0) break;
          for (const { row, values } of rows!)
            if (values.length === 0) problems.add(row, 'empty-line', 'an empty row');
            else yield { row, values: Object.fromEntries(columns.map((name, i) => [name, values[i] ?? ''])) };
        }
      } finally {
        reading.release();
      }
    },
  };
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (thrown) {
    throw TritsmithError.from(thrown);
  }
}
