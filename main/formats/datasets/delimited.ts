/** TSV and CSV, streamed. TSV as GLUE has it: a tab separates, a quotation mark is a character like any other. */
import { type Info, parse } from 'csv-parse';
import { TritsmithError } from '../../contract/errors.ts';
import { openRegularFile, readSize } from '../../basics/regular-file.ts';
import type { DatasetRow, Problems, Source } from './dataset.ts';
import type { Delimiter } from './delimiter.ts';
import { readLines } from './lines.ts';
import { notUtf8 } from './text-encoding.ts';

const mostColumns = 10_000;

function checkHeader(file: string, names: readonly string[]): void {
  const doubled = names.find((name, i) => names.indexOf(name) !== i);
  const reason =
    names.length > mostColumns
      ? `Its first line has ${names.length} columns.`
      : doubled !== undefined
        ? `Its first line names the column "${doubled.slice(0, 60)}" twice (columns ${names.indexOf(doubled) + 1} and ${names.lastIndexOf(doubled) + 1}).`
        : null;
  if (reason) throw new TritsmithError('bad-input', 'table.column-names', { file, reason });
}

export const noRows = (file: string) => new TritsmithError('bad-input', 'table.empty', { file });

/** Names of the columns; one without a name (as pandas writes its index) is called by its place. */
function columnNames(file: string, fields: readonly string[]): string[] {
  const names = fields.map((name, i) => (name.trim() === '' ? `column ${i + 1}` : name));
  if (fields.every((name) => name.trim() === ''))
    throw new TritsmithError('bad-input', 'table.no-column-names', { file });
  checkHeader(file, names);
  return names;
}

/** The row, or null (with a problem noted) when the number of fields is not that of the header. */
function asRow(
  columns: readonly string[],
  fields: readonly string[],
  row: number,
  problems: Problems,
  waysOut: string,
): DatasetRow | null {
  if (fields.length !== columns.length) {
    problems.add(
      row,
      'ragged',
      `${fields.length} fields instead of ${columns.length}; the row is left out. ${waysOut}`,
    );
    return null;
  }
  if (fields.some((field) => field.includes('\0'))) {
    problems.add(row, 'nul', 'a NUL character, which no text has; the row is left out. The file may be damaged there.');
    return null;
  }
  const values = Object.fromEntries(columns.map((name, i) => [name, fields[i]!]));
  if (fields.some((field) => field.includes('\ufffd'))) problems.add(row, 'invalid-utf8', notUtf8);
  return { row, values };
}

const tabsInTexts = 'Take tabs and line breaks out of the texts, or save the table as CSV with quotation marks.';

export async function openTsv(file: string): Promise<Source> {
  let header: { columns: string[]; line: number } | undefined;
  for await (const { text, number } of readLines(file)) {
    if (text === '') continue;
    header = { columns: text === null ? [''] : text.split('\t'), line: number };
    break;
  }
  if (!header) throw noRows(file);
  const { line } = header;
  const columns = columnNames(file, header.columns);
  return {
    format: 'tsv',
    columns,
    async *rows(problems) {
      for await (const { text, number } of readLines(file)) {
        if (number <= line) continue;
        if (text === null) problems.add(number, 'too-long', 'more than 16 MB; the line is left out');
        else if (text === '') problems.add(number, 'empty-line', 'an empty line');
        else {
          const row = asRow(columns, text.split('\t'), number, problems, tabsInTexts);
          if (row) yield row;
        }
      }
    },
  };
}

interface Parsed {
  record: string[];
  info: Info;
}

async function* csvRecords(file: string, delimiter: string): AsyncGenerator<{ fields: string[]; line: number }> {
  const { handle, size } = await openRegularFile(file);
  const input = handle.createReadStream({ highWaterMark: readSize(256 * 1024, size) });
  const parser = parse({
    bom: true,
    delimiter,
    info: true,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: false,
    max_record_size: 16 * 1024 * 1024,
  });
  input.on('error', (error) => parser.destroy(error));
  input.pipe(parser);
  let line = 1;
  try {
    for await (const { record, info } of parser as AsyncIterable<Parsed>) {
      yield { fields: record, line };
      line = info.lines + 1;
    }
  } catch (thrown) {
    const code = (thrown as { code?: string }).code ?? '';
    if (!code.startsWith('CSV_')) throw TritsmithError.from(thrown);
    throw new TritsmithError('damaged', 'table.quotation', {
      file,
      line,
      problem: (thrown as Error).message.slice(0, 300),
    });
  } finally {
    input.destroy();
    parser.destroy();
  }
}

const isEmpty = (fields: readonly string[]) => fields.length === 0 || (fields.length === 1 && fields[0] === '');

export async function openCsv(file: string, delimiter: Exclude<Delimiter, '\t'>): Promise<Source> {
  let header: { columns: string[]; line: number } | undefined;
  for await (const { fields, line } of csvRecords(file, delimiter)) {
    if (isEmpty(fields)) continue;
    header = { columns: fields, line };
    break;
  }
  if (!header) throw noRows(file);
  const { line: headerLine } = header;
  const columns = columnNames(file, header.columns);
  const waysOut = `Put texts that hold "${delimiter}" or line breaks in quotation marks, and double the quotation marks in them.`;
  return {
    format: 'csv',
    columns,
    async *rows(problems) {
      for await (const { fields, line } of csvRecords(file, delimiter)) {
        if (line <= headerLine) continue;
        if (isEmpty(fields) && columns.length > 1) problems.add(line, 'empty-line', 'an empty line');
        else {
          const row = asRow(columns, fields, line, problems, waysOut);
          if (row) yield row;
        }
      }
    },
  };
}
