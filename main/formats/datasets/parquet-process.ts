/** Decodes Parquet with hyparquet. Runs in a process of its own (isolated-reader.ts): a damaged file can make the library loop or allocate without end. */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  parquetSchema,
  snappyUncompress,
} from 'hyparquet';
import { decompressLz4, decompressLz4Raw } from 'hyparquet-compressors';
import type { SerialisedError } from '../../contract/errors.ts';
import { serveIsolated } from '../isolation/serve-isolated.ts';
import { openRegularFile } from '../../basics/regular-file.ts';
import { isJsonObject, ownValue, parseBoundedJson } from '../../basics/bounded-json.ts';
import { textOf } from './dataset.ts';
import { answerOrError } from './isolated-reader.ts';

export type ParquetRequest =
  | { readonly ask: 'schema'; readonly file: string }
  /** Decodes a row group and keeps it; its rows are fetched with `rows`. */
  | { readonly ask: 'group'; readonly file: string; readonly first: number; readonly end: number }
  | { readonly ask: 'rows'; readonly count: number };

export interface ParquetSchema {
  readonly columns: string[];
  /** Rows and compressed bytes of every row group. */
  readonly groups: { readonly rows: number; readonly bytes: number }[];
  /** Names of the classes by column, where the file says them: a value is an index into them. */
  readonly classes: Record<string, string[]>;
}

export interface ParquetReply {
  readonly schema?: ParquetSchema;
  readonly rows?: string[][];
  readonly error?: SerialisedError;
}

const largestGroupBytes = 1024 ** 3;
const largestPage = 256 * 1024 * 1024;
const mostRowsInGroup = 20_000_000;
const mostColumns = 10_000;

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
  LZ4: bounded(decompressLz4),
  LZ4_RAW: bounded(decompressLz4Raw),
};

/** Opens the file for as long as `use` runs; reads outside the file are refused before anything is allocated. */
async function withFile<T>(file: string, use: (buffer: AsyncBuffer) => Promise<T>): Promise<T> {
  const { handle, size } = await openRegularFile(file);
  try {
    return await use({
      byteLength: size,
      async slice(start, end = size) {
        if (!(start >= 0 && start <= end && end <= size && end - start <= largestGroupBytes))
          throw new Error(`bytes ${start} to ${end} are asked for, the file has ${size}`);
        const bytes = new Uint8Array(end - start);
        let done = 0;
        while (done < bytes.length) {
          const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
          if (bytesRead === 0) throw new Error('the file is shorter than it was');
          done += bytesRead;
        }
        return bytes.buffer;
      },
    });
  } finally {
    await handle.close();
  }
}

/** Groups, after the counts and sizes that the file claims were found possible. */
function checkedGroups(metadata: FileMetaData, fileBytes: number): ParquetSchema['groups'] {
  const groups = metadata.row_groups.map(({ num_rows, columns }) => {
    const rows = Number(num_rows);
    if (!(rows >= 0 && rows <= mostRowsInGroup)) throw new Error(`a row group claims ${rows} rows`);
    let bytes = 0;
    for (const { meta_data: column } of columns) {
      if (!column) continue;
      const compressed = Number(column.total_compressed_size);
      if (!(compressed >= 0 && compressed <= fileBytes)) throw new Error(`a column claims ${compressed} bytes`);
      if (!(Number(column.total_uncompressed_size) <= largestGroupBytes && Number(column.num_values) <= 1e9))
        throw new Error('a column claims more than 1 GB in one row group');
      bytes += compressed;
    }
    if (bytes > fileBytes) throw new Error('its columns claim more bytes than the file has');
    return { rows, bytes };
  });
  const total = groups.reduce((sum, { rows }) => sum + rows, 0);
  if (total !== Number(metadata.num_rows)) throw new Error('its row groups do not add up');
  return groups;
}

function columnNames(metadata: FileMetaData): string[] {
  const names = parquetSchema(metadata).children.map(({ element }) => element.name);
  if (names.length > mostColumns) throw new Error(`it has ${names.length} columns`);
  if (new Set(names).size < names.length) throw new Error('two columns have the same name');
  return names;
}

/** Class names as the `datasets` library writes them beside the schema. */
function classNames(metadata: FileMetaData): Record<string, string[]> {
  const text = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return {};
  let features: unknown;
  try {
    const root = parseBoundedJson(new TextEncoder().encode(text), 'The metadata');
    const info = isJsonObject(root) ? ownValue(root, 'info') : undefined;
    features = isJsonObject(info) ? ownValue(info, 'features') : undefined;
  } catch {
    return {};
  }
  if (!isJsonObject(features)) return {};
  return Object.fromEntries(
    Object.entries(features).flatMap(([column, feature]) => {
      const names =
        isJsonObject(feature) && ownValue(feature, '_type') === 'ClassLabel' ? ownValue(feature, 'names') : null;
      return Array.isArray(names) && names.every((name) => typeof name === 'string') ? [[column, names]] : [];
    }),
  );
}

const readMetadata = (buffer: AsyncBuffer) => parquetMetadataAsync(buffer, { geoparquet: false });

async function schema(file: string): Promise<ParquetSchema> {
  return withFile(file, async (buffer) => {
    const metadata = await readMetadata(buffer);
    return {
      columns: columnNames(metadata),
      groups: checkedGroups(metadata, buffer.byteLength),
      classes: classNames(metadata),
    };
  });
}

let decoded: unknown[][] = [];
let fetched = 0;

async function decodeGroup(file: string, rowStart: number, rowEnd: number): Promise<void> {
  [decoded, fetched] = [[], 0];
  await withFile(file, async (buffer) => {
    const metadata = await readMetadata(buffer);
    await parquetRead({
      file: buffer,
      metadata,
      columns: columnNames(metadata),
      rowStart,
      rowEnd,
      compressors,
      geoparquet: false,
      onComplete: (rows) => {
        decoded = rows as unknown[][];
      },
    });
  });
}

function nextRows(count: number): string[][] {
  const rows = decoded.slice(fetched, fetched + count).map((row) => row.map(textOf));
  fetched += rows.length;
  if (fetched >= decoded.length) [decoded, fetched] = [[], 0];
  return rows;
}

async function answer(request: ParquetRequest): Promise<ParquetReply> {
  if (request.ask === 'schema') return { schema: await schema(request.file) };
  if (request.ask === 'rows') return { rows: nextRows(request.count) };
  await decodeGroup(request.file, request.first, request.end);
  return {};
}

serveIsolated((request): Promise<ParquetReply> => answerOrError(() => answer(request as ParquetRequest)));
