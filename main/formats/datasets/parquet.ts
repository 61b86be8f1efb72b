/** Parquet as a dataset: one row group at a time, its rows in batches. */
import { stat } from 'node:fs/promises';
import type { DatasetRow, Source } from './dataset.ts';
import { parquetReader } from './parquet-reader.ts';

const rowsInBatch = 2000;

/** @throws TritsmithError `damaged`, `bad-input` (more time or memory than its size justifies), also while iterating */
export async function openParquet(file: string): Promise<Source> {
  const reader = parquetReader(file);
  let columns: string[];
  let groups: { rows: number; bytes: number }[];
  try {
    // The footer alone is read; how large it is, is known only to the file.
    const { schema } = await reader.ask({ ask: 'schema', file }, Math.min((await stat(file)).size, 64 * 1024 * 1024));
    ({ columns, groups } = schema!);
  } finally {
    reader.release();
  }
  const asRow = (fields: readonly string[], row: number): DatasetRow => ({
    row,
    values: Object.fromEntries(columns.map((name, i) => [name, fields[i] ?? ''])),
  });
  return {
    format: 'parquet',
    columns,
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
