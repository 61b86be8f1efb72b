/** JSONL (streamed), a JSON array of objects, and `{id: row}` as GLUE subsets have it. */
import { stat } from 'node:fs/promises';
import { TritsmithError } from '../../contract/errors.ts';
import {
  isJsonObject,
  type Json,
  type JsonObject,
  parseBoundedJson,
  readBoundedFile,
} from '../../basics/bounded-json.ts';
import { type DatasetRow, type Problems, type Source, textOf } from './dataset.ts';
import { readLines } from './lines.ts';

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

function parseLine(text: string): Json | undefined {
  try {
    return parseBoundedJson(new TextEncoder().encode(text), 'A line');
  } catch {
    return undefined;
  }
}

const noObjects = (file: string, reason: string) =>
  new TritsmithError('bad-input', 'rows.none-in-json', { file, reason });

export async function openJsonLines(file: string): Promise<Source> {
  const columns = new Set<string>();
  let seen = 0;
  for await (const { text, number } of readLines(file)) {
    const value = text ? parseLine(text) : undefined;
    if (isJsonObject(value)) {
      collectColumns(columns, value);
      seen++;
    }
    if (number >= rowsForColumns) break;
  }
  if (seen === 0) throw noObjects(file, `None of its first ${rowsForColumns} lines is a JSON object.`);
  const names = [...columns];
  return {
    format: 'jsonl',
    columns: names,
    async *rows(problems) {
      for await (const { text, number } of readLines(file)) {
        if (text === null) problems.add(number, 'too-long', 'more than 16 MB; the line is left out');
        else if (text.trim() === '') problems.add(number, 'empty-line', 'an empty line');
        else {
          const value = parseLine(text);
          if (value === undefined) problems.add(number, 'invalid-json', 'the line is not valid JSON and is left out');
          else if (!isJsonObject(value))
            problems.add(number, 'not-an-object', 'the line is no JSON object and is left out');
          else yield asRow(names, value, number);
        }
      }
    },
  };
}

export async function openJson(file: string): Promise<Source> {
  const { size } = await stat(file);
  if (size > largestJson)
    throw new TritsmithError('bad-input', 'rows.json-too-large', { file, size, most: largestJson });
  const root = parseBoundedJson(await readBoundedFile(file, largestJson), file);
  if (!Array.isArray(root) && !isJsonObject(root)) throw noObjects(file, 'It is neither an array nor an object.');
  const items = Array.isArray(root) ? root : Object.values(root);
  const columns = new Set<string>();
  for (const item of items) if (isJsonObject(item)) collectColumns(columns, item);
  if (columns.size === 0) throw noObjects(file, 'None of its elements is an object.');
  const names = [...columns];
  return {
    format: 'json',
    columns: names,
    async *rows(problems: Problems) {
      for (const [i, item] of items.entries())
        if (isJsonObject(item)) yield asRow(names, item, i + 1);
        else problems.add(i + 1, 'not-an-object', 'the element is no JSON object and is left out');
    },
  };
}
