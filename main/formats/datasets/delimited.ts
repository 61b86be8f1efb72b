/** TSV and CSV, streamed. TSV as GLUE has it: a tab separates, a quotation mark is a character like any other. */
import { parse } from 'csv-parse';
import type { Info } from 'csv-parse';
import { TritsmithError } from '../../contract/errors.ts';
import { openRegularFile } from '../regular-file.ts';
import type { DatasetRow, Problems, Source } from './dataset.ts';
import { readLines } from './lines.ts';

const mostColumns = 10_000;

function checkHeader(file: string, names: readonly string[]): void {
  const doubled = names.find((name, i) => names.indexOf(name) !== i);
  const reason =
    names.length > mostColumns
      ? `Its first line has ${names.length} columns.`
      : names.some((name) => name === '')
        ? 'Its first line, which should name the columns, has an empty name.'
        : doubled !== undefined
          ? `Its first line names the column "${doubled.slice(0, 60)}" twice.`
          : null;
  if (reason)
    throw new TritsmithError('bad-input', `${file} has no usable column names.`, {
      reason,
      remedy: 'Give every column a name of its own in the first line.',
    });
}

const noRows = (file: string) =>
  new TritsmithError('bad-input', `${file} is empty.`, { remedy: 'Choose a file with a header line and rows.' });

/** The row, or null (with a problem noted) when the number of fields is not that of the header. */
function asRow(
  columns: readonly string[],
  fields: readonly string[],
  row: number,
  problems: Problems,
): DatasetRow | null {
  if (fields.length !== columns.length) {
    problems.add(row, 'ragged', `${fields.length} fields instead of ${columns.length}; the row is left out`);
    return null;
  }
  const values = Object.fromEntries(columns.map((name, i) => [name, fields[i]!]));
  if (fields.some((field) => field.includes('\ufffd')))
    problems.add(row, 'invalid-utf8', 'some bytes are no UTF-8 and are shown as \ufffd; the row is kept');
  return { row, values };
}

export async function openTsv(file: string): Promise<Source> {
  let header: { columns: string[]; line: number } | undefined;
  for await (const { text, number } of readLines(file)) {
    if (text === '') continue;
    header = { columns: text === null ? [''] : text.split('\t'), line: number };
    break;
  }
  if (!header) throw noRows(file);
  const { columns, line } = header;
  checkHeader(file, columns);
  return {
    format: 'tsv',
    columns,
    async *rows(problems) {
      for await (const { text, number } of readLines(file)) {
        if (number <= line) continue;
        if (text === null) problems.add(number, 'too-long', 'more than 16 MB; the line is left out');
        else if (text === '') problems.add(number, 'empty-line', 'an empty line');
        else {
          const row = asRow(columns, text.split('\t'), number, problems);
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
  const { handle } = await openRegularFile(file);
  const input = handle.createReadStream({ highWaterMark: 256 * 1024 });
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
    throw new TritsmithError('damaged', `${file} can't be read from line ${line} on.`, {
      reason: (thrown as Error).message.slice(0, 300),
      remedy: 'Close the quotation mark there, or save the table as TSV, where quotation marks mean nothing.',
    });
  } finally {
    input.destroy();
    parser.destroy();
  }
}

const isEmpty = (fields: readonly string[]) => fields.length === 0 || (fields.length === 1 && fields[0] === '');

/** `delimiter`: comma, or semicolon where the header has no comma (spreadsheets of many countries). */
export async function openCsv(file: string, delimiter: ',' | ';'): Promise<Source> {
  let header: { columns: string[]; line: number } | undefined;
  for await (const { fields, line } of csvRecords(file, delimiter)) {
    if (isEmpty(fields)) continue;
    header = { columns: fields, line };
    break;
  }
  if (!header) throw noRows(file);
  const { columns, line: headerLine } = header;
  checkHeader(file, columns);
  return {
    format: 'csv',
    columns,
    async *rows(problems) {
      for await (const { fields, line } of csvRecords(file, delimiter)) {
        if (line <= headerLine) continue;
        if (isEmpty(fields) && columns.length > 1) problems.add(line, 'empty-line', 'an empty line');
        else {
          const row = asRow(columns, fields, line, problems);
          if (row) yield row;
        }
      }
    },
  };
}
