/** Tables as files: what `openDataset` reads back, and Excel. */
import path from 'node:path';
import { stringify } from 'csv-stringify/sync';
import type { Row } from 'write-excel-file/node';
import { TritsmithError } from '../../contract/errors.ts';
import { type AtomicFile, writeFileAtomically } from '../../basics/atomic-file.ts';

/** Texts, numbers and yes or no; null is an empty cell. */
export type Cell = string | number | boolean | null;

/** What Excel holds in a sheet and in a cell. */
const mostSheetRows = 1_048_576;
const longestSheetCell = 32_767;
/** Text that is gathered before it is written. */
const blockCharacters = 1 << 18;

type Rows = AsyncIterable<readonly Cell[]>;
type Write = (target: string, columns: readonly string[], rows: Rows) => Promise<void>;

/** Writes `header`, then a line for each row. */
async function writeLines(
  target: string,
  header: string,
  rows: Rows,
  line: (cells: readonly Cell[]) => string,
): Promise<void> {
  await writeFileAtomically(target, async (file: AtomicFile) => {
    let block = header;
    for await (const cells of rows) {
      block += line(cells);
      if (block.length < blockCharacters) continue;
      await file.write(Buffer.from(block));
      block = '';
    }
    await file.write(Buffer.from(block));
  });
}

const plain = (cell: Cell): string => (cell === null ? '' : String(cell));
const csvLine = (cells: readonly Cell[]): string => stringify([cells.map(plain)]);
/** Quotation marks mean nothing in TSV, so white space that would end a cell becomes a space. */
const tsvLine = (cells: readonly Cell[]): string =>
  `${cells.map((cell) => plain(cell).replace(/[\t\r\n]+/g, ' ')).join('\t')}\n`;

async function writeExcel(target: string, columns: readonly string[], rows: Rows): Promise<void> {
  // Texts are said to be texts, so that one that begins with "=" is no formula.
  const header: Row = columns.map((value) => ({ value, type: String, fontWeight: 'bold' }));
  const data: Row[] = [header];
  for await (const cells of rows) {
    if (data.length === mostSheetRows)
      throw new TritsmithError('bad-input', 'table.too-long-for-excel', { file: target, most: mostSheetRows - 1 });
    if (cells.some((cell) => typeof cell === 'string' && cell.length > longestSheetCell))
      throw new TritsmithError('bad-input', 'table.cell-too-long-for-excel', {
        file: target,
        row: data.length,
        most: longestSheetCell,
      });
    data.push(cells.map((cell) => (typeof cell === 'string' ? { value: cell, type: String } : cell)));
  }
  // Loaded here: it is 78 modules, which no worker needs that writes no workbook.
  const { default: writeXlsxFile } = await import('write-excel-file/node');
  await writeFileAtomically(target, await writeXlsxFile(data, { stickyRowsCount: 1 }).toBuffer());
}

const writers: Readonly<Record<string, Write>> = {
  '.csv': (target, columns, rows) => writeLines(target, csvLine(columns), rows, csvLine),
  '.tsv': (target, columns, rows) => writeLines(target, tsvLine(columns), rows, tsvLine),
  '.jsonl': (target, columns, rows) =>
    writeLines(target, '', rows, (cells) => {
      const object = Object.fromEntries(columns.map((name, index) => [name, cells[index] ?? null]));
      return `${JSON.stringify(object)}\n`;
    }),
  '.xlsx': writeExcel,
};

/** Endings of the names of files that can be written. */
export const writtenTables: readonly string[] = Object.keys(writers);

/**
 * Writes a table in the format of its name's ending; it appears whole or not at all. Memory does not grow with the rows, but for Excel.
 * @throws TritsmithError `bad-input` for another ending, and for what Excel does not hold; as `writeFileAtomically`
 */
export async function writeRows(target: string, columns: readonly string[], rows: Rows): Promise<void> {
  assertWritable(target);
  await writers[path.extname(target).toLowerCase()]!(target, columns, rows);
}

/** @throws TritsmithError `bad-input` for a name with another ending than those of `writtenTables` */
export function assertWritable(target: string): void {
  if (!Object.hasOwn(writers, path.extname(target).toLowerCase()))
    throw new TritsmithError('bad-input', 'table.not-written', { file: target, kinds: writtenTables });
}
