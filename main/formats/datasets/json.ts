/** JSONL (streamed), and JSON documents in the shapes of json-shapes.ts. */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import { nothingToSet, type ReadingOptions, type TextEncoding } from '../../contract/table-reading.ts';
import {
  isJsonObject,
  type Json,
  type JsonObject,
  parseBoundedJson,
  readBoundedFile,
} from '../../basics/bounded-json.ts';
import { type DatasetRow, type Problems, type Source, textOf } from './dataset.ts';
import { findRows } from './json-shapes.ts';
import { readLines } from './lines.ts';
import type { FoundEncoding } from './text-encoding.ts';

const largestJson = 512 * 1024 * 1024;
const rowsForColumns = 1000;

function collectColumns(columns: Set<string>, row: JsonObject): void {
  for (const name of Object.keys(row)) if (columns.size < 10_000) columns.add(name);
}

function asRow(columns: readonly string[], object: JsonObject, row: number): DatasetRow {
  const entries = [
    ...columns.map((name) => [name, ''] as const),
    ...Object.entries(object).map(([name, value]) => [name, textOf(value)] as const),
  ];
  return { row, values: Object.fromEntries(entries) };
}

function parseText(text: string): Json | undefined {
  try {
    return parseBoundedJson(new TextEncoder().encode(text), 'A line');
  } catch {
    return undefined;
  }
}

/** Null for a line that is nothing but a bracket around all rows, undefined for one that is no JSON. */
function parseLine(text: string): Json | undefined {
  const value = parseText(text);
  if (value !== undefined) return value;
  // An array whose elements stand in lines of their own, or what was cut out of one.
  const bare = text
    .trim()
    .replace(/^\[|,$/g, '')
    .replace(/\]$/, '')
    .trim();
  return bare === '' ? null : parseText(bare);
}

const noObjects = (file: string, reason: string) =>
  new TritsmithError('bad-input', 'rows.none-in-json', { file, reason });

export async function openJsonLines(file: string, found: FoundEncoding, options: ReadingOptions): Promise<Source> {
  const { encoding } = found;
  const columns = new Set<string>();
  let seen = 0;
  let last = 0;
  for await (const { text, number } of readLines(file, encoding)) {
    const value = text ? parseLine(text) : undefined;
    if (isJsonObject(value)) {
      collectColumns(columns, value);
      seen++;
    }
    last = number;
    if (number >= rowsForColumns) break;
  }
  // A document that is called JSONL: one line, or an object over many.
  if (seen === 0 && last < rowsForColumns)
    return openJson(file, found, options).catch(() => {
      throw noObjects(file, `None of its first ${rowsForColumns} lines is a JSON object.`);
    });
  if (seen === 0) throw noObjects(file, `None of its first ${rowsForColumns} lines is a JSON object.`);
  const names = [...columns];
  return {
    format: 'jsonl',
    columns: names,
    reading: { ...nothingToSet, ...found },
    async *rows(problems) {
      for await (const { text, number } of readLines(file, encoding)) {
        if (text === null) problems.add(number, 'too-long', 'more than 16 MB; the line is left out');
        else if (text.trim() === '') problems.add(number, 'empty-line', 'an empty line');
        else {
          const value = parseLine(text);
          if (value === undefined) problems.add(number, 'invalid-json', 'the line is not valid JSON and is left out');
          else if (isJsonObject(value)) yield asRow(names, value, number);
          else if (!/^\s*[[\]]\s*$/.test(text))
            problems.add(number, 'not-an-object', 'the line is no JSON object and is left out');
        }
      }
    },
  };
}

/** @param bytes of a JSON document in `encoding`. @throws TritsmithError `damaged` */
function parseDocument(bytes: Uint8Array, encoding: TextEncoding, file: string): Json {
  return parseBoundedJson(
    encoding === 'utf-8' ? bytes : new TextEncoder().encode(new TextDecoder(encoding).decode(bytes)),
    file,
  );
}

export async function openJson(file: string, found: FoundEncoding, options: ReadingOptions): Promise<Source> {
  const { size } = await stat(file);
  if (size > largestJson)
    throw new TritsmithError('bad-input', 'rows.json-too-large', { file, size, most: largestJson });
  const root = parseDocument(await readBoundedFile(file, largestJson), found.encoding, file);
  if (!Array.isArray(root) && !isJsonObject(root)) throw noObjects(file, 'It is neither an array nor an object.');
  const { sheet, header } = options;
  const rows = findRows(root, { sheet, header: header === undefined ? null : header === 'none' ? 'none' : 1 });
  if (rows === null)
    throw sheet === undefined
      ? noObjects(file, 'None of its elements is an object.')
      : new TritsmithError('bad-input', 'sheet.absent', { file, sheet, sheets: Object.keys(root).slice(0, 20) });
  const { items } = rows;
  const columns = new Set<string>();
  for (const item of items) if (isJsonObject(item)) collectColumns(columns, item);
  if (columns.size === 0) throw noObjects(file, 'None of its elements is an object.');
  const names = [...columns];
  return {
    format: 'json',
    columns: names,
    reading: { ...nothingToSet, ...found, sheet: rows.sheet, sheets: [...rows.sheets], header: rows.header },
    async *rows(problems: Problems) {
      for (const [i, item] of items.entries())
        if (isJsonObject(item)) yield asRow(names, item, i + 1);
        else if (!(i === 0 && rows.header === 1))
          problems.add(i + 1, 'not-an-object', 'the element is no JSON object and is left out');
    },
  };
}
