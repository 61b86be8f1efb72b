/** Parquet through hyparquet, one row group at a time. */
import { open } from 'node:fs/promises';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { parquetMetadataAsync, parquetReadObjects, parquetSchema, snappyUncompress } from 'hyparquet';
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet';
import { TritsmithError } from '../../contract/errors.ts';
import { textOf } from './dataset.ts';
import type { Source } from './dataset.ts';

const largestGroupBytes = 1024 ** 3;
const largestPage = 256 * 1024 * 1024;
const mostRowsInGroup = 20_000_000;

function bounded(decompress: (input: Uint8Array, length: number) => Uint8Array) {
  return (input: Uint8Array, length: number): Uint8Array => {
    if (!(length >= 0 && length <= largestPage)) throw new Error(`a page claims ${length} bytes`);
    return decompress(input, length);
  };
}

const compressors: Compressors = {
  SNAPPY: bounded((input, length) => {
    const output = new Uint8Array(length);
    snappyUncompress(input, output);
    return output;
  }),
  GZIP: bounded((input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) })),
  BROTLI: bounded((input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) })),
  ZSTD: bounded((input, length) => zstdDecompressSync(input, { maxOutputLength: Math.max(1, length) })),
};

const damaged = (file: string, thrown: unknown) =>
  thrown instanceof TritsmithError
    ? thrown
    : new TritsmithError('damaged', `${file} can't be read as Parquet.`, {
        reason: (thrown as Error).message.slice(0, 300),
        remedy: 'Download the file again, or save it as JSONL.',
      });

/** Opens the file for as long as `use` runs; reads outside the file are refused before anything is allocated. */
async function withFile<T>(file: string, use: (buffer: AsyncBuffer) => Promise<T>): Promise<T> {
  const handle = await open(file, 'r').catch((thrown: unknown) => {
    throw TritsmithError.from(thrown);
  });
  try {
    const { size } = await handle.stat();
    return await use({
      byteLength: size,
      async slice(start, end = size) {
        if (!(start >= 0 && start <= end && end <= size && end - start <= largestGroupBytes))
          throw new Error(`bytes ${start} to ${end} are asked for, the file has ${size}`);
        const bytes = new Uint8Array(end - start);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
        if (bytesRead !== bytes.length) throw new Error('the file is shorter than it was');
        return bytes.buffer;
      },
    });
  } catch (thrown) {
    throw damaged(file, thrown);
  } finally {
    await handle.close();
  }
}

/** Rows per group, after the counts and sizes that the file claims were found possible. */
function checkedGroups(metadata: FileMetaData): number[] {
  const groups = metadata.row_groups.map((group) => {
    const rows = Number(group.num_rows);
    if (!(rows >= 0 && rows <= mostRowsInGroup)) throw new Error(`a row group claims ${rows} rows`);
    for (const { meta_data: column } of group.columns)
      if (column && !(Number(column.total_uncompressed_size) <= largestGroupBytes && Number(column.num_values) <= 1e9))
        throw new Error('a column claims more than 1 GB in one row group');
    return rows;
  });
  const total = groups.reduce((sum, rows) => sum + rows, 0);
  if (total !== Number(metadata.num_rows)) throw new Error('its row groups do not add up');
  return groups;
}

export async function openParquet(file: string): Promise<Source> {
  const { metadata, groups } = await withFile(file, async (buffer) => {
    const found = await parquetMetadataAsync(buffer, { geoparquet: false });
    return { metadata: found, groups: checkedGroups(found) };
  });
  const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
  return {
    format: 'parquet',
    columns,
    async *rows() {
      let first = 0;
      for (const count of groups) {
        const [rowStart, rowEnd] = [first, first + count];
        first = rowEnd;
        if (count === 0) continue;
        const objects = await withFile(file, (buffer) =>
          parquetReadObjects({ file: buffer, metadata, rowStart, rowEnd, compressors, geoparquet: false }),
        );
        for (const [i, object] of objects.entries())
          yield {
            row: rowStart + i + 1,
            values: Object.fromEntries(
              columns.map((name) => [name, Object.hasOwn(object, name) ? textOf(object[name]) : '']),
            ),
          };
      }
    },
  };
}
