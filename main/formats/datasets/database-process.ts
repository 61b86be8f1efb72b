/**
 * Reads SQLite files. Runs in a process of its own (isolated-reader.ts), on a copy in memory: nothing is written beside the file, and a
 * view that never ends is stopped.
 */
import { stat } from 'node:fs/promises';
import Database from 'better-sqlite3';
import { TritsmithError } from '../../contract/errors.ts';
import { serveIsolated } from '../isolation/serve-isolated.ts';
import { readBoundedFile } from '../../basics/bounded-json.ts';
import { textOf } from './dataset.ts';
import { columnNames, noRows } from './delimited.ts';
import { answerOrError } from './isolated-reader.ts';
import type { TableFound, TableReply, TableRequest, TableRow } from './table-process.ts';

const largestDatabase = 512 * 1024 * 1024;
const mostTables = 1000;

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** @throws TritsmithError `bad-input` where a program still has rows outside the file (its write-ahead log) */
async function openCopy(file: string): Promise<Database.Database> {
  const log = await stat(`${file}-wal`).catch(() => null);
  if (log !== null && log.size > 0) throw new TritsmithError('bad-input', 'database.in-use', { file });
  const bytes = Buffer.from(await readBoundedFile(file, largestDatabase));
  // Versions of the format for reading and writing: 2 asks for a write-ahead log, which a copy in memory has not.
  bytes[18] = 1;
  bytes[19] = 1;
  const database = new Database(bytes);
  database.unsafeMode(false);
  database.pragma('trusted_schema = OFF');
  database.pragma('query_only = ON');
  return database;
}

function tablesOf(database: Database.Database): { name: string; rows: number }[] {
  const names = database
    .prepare<[], string>(
      `SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT ${mostTables}`,
    )
    .pluck()
    .all();
  return names.map((name) => ({
    name,
    rows: database
      .prepare<[], number>(`SELECT count(*) FROM ${quoted(name)}`)
      .pluck()
      .get()!,
  }));
}

let rows: IterableIterator<unknown[]> | null = null;
let opened: Database.Database | null = null;
let row = 0;

async function open({ file, sheet: wanted, keep }: Extract<TableRequest, { ask: 'open' }>): Promise<TableFound> {
  rows?.return?.();
  opened?.close();
  [rows, opened, row] = [null, null, 0];
  const database = await openCopy(file);
  const sheets = tablesOf(database);
  const sheet = wanted ?? sheets.toSorted((a, b) => b.rows - a.rows)[0]?.name;
  if (sheet === undefined) throw noRows(file);
  if (!sheets.some(({ name }) => name === sheet))
    throw new TritsmithError('bad-input', 'sheet.absent', {
      file,
      sheet,
      sheets: sheets.slice(0, 20).map(({ name }) => name),
    });
  const statement = database.prepare<[], unknown[]>(`SELECT * FROM ${quoted(sheet)}`).raw();
  const columns = columnNames(
    file,
    statement.columns().map(({ name }) => name),
  );
  if (keep) [rows, opened] = [statement.safeIntegers().iterate(), database];
  else database.close();
  return { format: 'sqlite', columns, sheet, sheets, header: null };
}

function nextRows(count: number): TableRow[] {
  const batch: TableRow[] = [];
  while (batch.length < count) {
    const next = rows?.next();
    if (next === undefined || next.done === true) break;
    batch.push({ row: (row += 1), values: next.value.map(textOf) });
  }
  if (batch.length < count) {
    opened?.close();
    [rows, opened] = [null, null];
  }
  return batch;
}

serveIsolated((question): Promise<TableReply> => {
  const request = question as TableRequest;
  return answerOrError(async () =>
    request.ask === 'rows' ? { rows: nextRows(request.count) } : { table: await open(request) },
  );
});
