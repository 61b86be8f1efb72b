/** Decodes .xlsx and .ods with SheetJS. Runs in a process of its own (isolated-reader.ts): the library holds a workbook in memory whole, unpacked. */
import { type CellObject, read, SSF, type WorkBook, type WorkSheet } from '@e965/xlsx';
import { TritsmithError } from '../../contract/errors.ts';
import type { ReadingFound } from '../../contract/table-reading.ts';
import { serveIsolated } from '../isolation/serve-isolated.ts';
import { readBoundedFile } from '../../basics/bounded-json.ts';
import { columnNames, noRows } from './delimited.ts';
import { isHeader, nameByPlace } from './header.ts';
import { answerOrError } from './isolated-reader.ts';
import type { TableFound, TableReply, TableRequest, TableRow } from './table-process.ts';

const largestWorkbook = 256 * 1024 * 1024;
const mostColumns = 10_000;
const rowsForHeader = 200;

/** The library's formats of numbers; its types leave them open. */
const formats = SSF as {
  is_date(format: string): boolean;
  format(format: string, value: unknown): string;
  parse_date_code(value: number): { y: number; m: number; d: number; H: number; M: number; S: number } | null;
};

const twoDigits = (value: number) => String(value).padStart(2, '0');

/** A date as ISO 8601, without its time where that is midnight; a time alone as it is shown. */
function dateOf({ v: value, w: shown }: CellObject): string {
  const parts = formats.parse_date_code(value as number);
  if (parts === null || (value as number) < 1) return shown ?? String(value);
  const { y, m, d, H, M, S } = parts;
  const time = H + M + S === 0 ? '' : `T${twoDigits(H)}:${twoDigits(M)}:${twoDigits(Math.floor(S))}`;
  return `${String(y).padStart(4, '0')}-${twoDigits(m)}-${twoDigits(d)}${time}`;
}

/** A cell as a person sees it, but for dates, which are ISO 8601; errors (#N/A) are empty. */
function textOfCell(cell: CellObject | undefined): string {
  if (cell === undefined || cell.v === undefined || cell.t === 'e' || cell.t === 'z') return '';
  if (cell.t === 'd') return (cell.v as Date).toISOString().replace(/T00:00:00\.000Z$|\.000Z$/, '');
  if (cell.t === 'n' && typeof cell.z === 'string' && formats.is_date(cell.z)) return dateOf(cell);
  if (cell.t === 's') return String(cell.v);
  // Programs other than a spreadsheet write any text beside a number of no format.
  return cell.t === 'n' && cell.z === undefined ? formats.format('General', cell.v) : (cell.w ?? String(cell.v));
}

/** Rows of a sheet from its row 1 on; a cell that is merged over several rows has its value in each. */
function gridOf(sheet: WorkSheet): string[][] {
  const data = ((sheet as { '!data'?: (CellObject[] | undefined)[] })['!data'] ?? []).slice();
  const grid = Array.from(data, (cells) => Array.from((cells ?? []).slice(0, mostColumns), textOfCell));
  for (const { s: start, e: end } of sheet['!merges'] ?? []) {
    const value = grid[start.r]?.[start.c];
    if (!value) continue;
    for (let row = start.r + 1; row <= Math.min(end.r, grid.length - 1); row++) {
      const cells = grid[row]!;
      while (cells.length <= start.c) cells.push('');
      cells[start.c] ||= value;
    }
  }
  return grid;
}

const filled = (row: readonly string[]) => row.reduce((sum, cell) => sum + (cell.trim() === '' ? 0 : 1), 0);

interface Sheet {
  readonly name: string;
  readonly hidden: boolean;
  readonly grid: string[][];
  readonly rows: number;
}

function sheetsOf(book: WorkBook): Sheet[] {
  return book.SheetNames.map((name, i) => {
    const grid = gridOf(book.Sheets[name]!);
    const hidden = (book.Workbook?.Sheets?.[i]?.Hidden ?? 0) > 0;
    return { name, hidden, grid, rows: grid.filter((row) => filled(row) > 0).length };
  });
}

/** Index of the row that is as wide as most of the first ones: what stands above it is a title. */
function firstWideRow(grid: readonly string[][]): number {
  const sample = grid.slice(0, rowsForHeader).map((row, index) => ({ index, width: filled(row) }));
  const widths = sample
    .map(({ width }) => width)
    .filter((width) => width > 0)
    .sort((a, b) => a - b);
  const usual = widths[Math.floor(widths.length / 2)] ?? 0;
  return sample.find(({ width }) => width > 0 && width >= Math.min(usual, Math.ceil(usual * 0.7) + 1))?.index ?? -1;
}

/** Columns and rows of a sheet; columns without a name and without any value are none. */
function tableOf(file: string, grid: readonly string[][], header: ReadingFound['header']) {
  const first = typeof header === 'number' ? header - 1 : firstWideRow(grid);
  if (first < 0 || grid[first] === undefined || filled(grid[first]) === 0) throw noRows(file);
  const width = grid.reduce((most, row) => Math.max(most, row.length), 0);
  const used = Array.from({ length: width }, (_, column) => column).filter((column) =>
    grid.some((row, index) => index >= first && (row[column] ?? '').trim() !== ''),
  );
  const pick = (row: readonly string[]) => used.map((column) => row[column] ?? '');
  const below = grid.slice(first + 1, first + 1 + rowsForHeader).filter((row) => filled(row) > 0);
  const named = typeof header === 'number' || (header === null && isHeader(pick(grid[first]), below.map(pick)));
  const names = named
    ? pick(grid[first]).map((name) => name.replaceAll(/\s+/g, ' ').trim())
    : used.map((column) => nameByPlace(column + 1));
  const rows: TableRow[] = [];
  for (let index = named ? first + 1 : first; index < grid.length; index++)
    rows.push({ row: index + 1, values: filled(grid[index]!) === 0 ? [] : pick(grid[index]!) });
  while (rows.at(-1)?.values.length === 0) rows.pop();
  return { columns: columnNames(file, names), header: named ? first + 1 : ('none' as const), rows };
}

async function open(request: Extract<TableRequest, { ask: 'open' }>): Promise<{ found: TableFound; rows: TableRow[] }> {
  const { file, sheet: wanted, header } = request;
  const bytes = await readBoundedFile(file, largestWorkbook);
  const ods = Buffer.from(bytes.subarray(0, 200)).includes('application/vnd.oasis.opendocument.spreadsheet');
  const names = Buffer.from(bytes);
  if (!ods && !names.includes('xl/workbook.xml') && !names.includes('content.xml'))
    throw new TritsmithError('unsupported', 'text.archive', { file });
  const book = read(bytes, {
    type: 'buffer',
    dense: true,
    cellNF: true,
    cellFormula: false,
    cellHTML: false,
    UTC: true,
  });
  const sheets = sheetsOf(book);
  const shown = sheets.filter(({ hidden }) => !hidden);
  const chosen =
    wanted === undefined
      ? (shown.length > 0 ? shown : sheets).toSorted((a, b) => b.rows - a.rows)[0]
      : sheets.find(({ name }) => name === wanted);
  if (chosen === undefined && wanted !== undefined)
    throw new TritsmithError('bad-input', 'sheet.absent', {
      file,
      sheet: wanted,
      sheets: book.SheetNames.slice(0, 20),
    });
  if (chosen === undefined) throw noRows(file);
  const { columns, header: found, rows } = tableOf(file, chosen.grid, header);
  return {
    found: {
      format: ods ? 'ods' : 'xlsx',
      columns,
      sheet: chosen.name,
      sheets: sheets.map(({ name, rows: count }) => ({ name, rows: count })),
      header: found,
    },
    rows,
  };
}

let kept: TableRow[] = [];
let fetched = 0;

serveIsolated((question): Promise<TableReply> => {
  const request = question as TableRequest;
  return answerOrError(async () => {
    if (request.ask === 'rows') {
      const rows = kept.slice(fetched, (fetched += request.count));
      if (fetched >= kept.length) kept = [];
      return { rows };
    }
    [kept, fetched] = [[], 0];
    const { found, rows } = await open(request);
    if (request.keep) kept = rows;
    return { table: found };
  });
});
