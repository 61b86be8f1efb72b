/** Parquet as a dataset: one row group at a time, its rows in batches. */
import { stat } from 'node:fs/promises';
import type { DatasetRow, Source } from './dataset.ts';
import { nothingToSet } from '../../contract/table-reading.ts';
import { isolatedReader, type ReaderKind } from './isolated-reader.ts';
import type { ParquetReply, ParquetRequest } from './parquet-process.ts';

const rowsInBatch = 2000;

/** 1 s of processor time and 1 s per MB, 40 times the size of memory. */
const parquet: ReaderKind = {
  entry: new URL('./parquet-process.ts', import.meta.url),
  name: 'Parquet',
  seconds: (size) => 1 + size,
  megabytes: (size) => 40 * size,
};
const parquetReader = (file: string) => isolatedReader<ParquetRequest, ParquetReply>(parquet, file);

/** @throws TritsmithError `damaged`, `bad-input` (more time or memory than its size justifies), also while iterating */
export async function openParquet(file: string): Promise<Source> {
  const reader = parquetReader(file);
  let columns: string[];
  let groups: { rows: number; bytes: number }[];
  let classes: ReadonlyMap<string, readonly string[]>;
  try {
    // The footer alone is read; how large it is, is known only to the file.
    const { schema } = await reader.ask({ ask: 'schema', file }, Math.min((await stat(file)).size, 64 * 1024 * 1024));
    ({ columns, groups } = schema!);
    classes = new Map(Object.entries(schema!.classes));
  } finally {
    reader.release();
  }
  const asRow = (fields: readonly string[], row: number): DatasetRow => ({
    row,
    values: Object.fromEntries(columns.map((name, i) => [name, named(name, fields[i] ?? '')])),
  });
  // -1 stands for "no label" in such a column.
  const named = (column: string, value: string): string => {
    const names = classes.get(column);
    return names === undefined ? value : value === '-1' ? '' : (names[Number(value || NaN)] ?? value);
  };
  return {
    format: 'parquet',
    columns,
    reading: nothingToSet,
    async *rows() {
      const reading = parquetReader(file);
      try {
        let first = 0;
        for (const { rows: count, bytes } of groups) {
          const end = first + count;
          if (count > 0) await reading.ask({ ask: 'group', file, first, end }, bytes);
          for (let done = first; done < end;) {
            const { rows } = await reading.ask({ ask: 'rows', count: rowsInBatch }, bytes);
            if (rows!.length === 0) break;
            for (const fields of rows!) yield asRow(fields, ++done);
          }
          first = end;
        }
      } finally {
        reading.release();
      }
    },
  };
}
