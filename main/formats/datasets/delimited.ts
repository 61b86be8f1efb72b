/** TSV and CSV, streamed. TSV as GLUE has it, unless it is quoted: a tab separates, a quotation mark is a character like any other. */
import { Readable } from 'node:stream';
import { type Info, parse } from 'csv-parse';
import { TritsmithError } from '../../contract/errors.ts';
import { nothingToSet, type ReadingFound, type TextEncoding } from '../../contract/table-reading.ts';
import { openRegularFile, readSize } from '../../basics/regular-file.ts';
import type { DatasetRow, Problems, Source } from './dataset.ts';
import type { Quoting } from './delimiter.ts';
import { isHeader, nameByPlace } from './header.ts';
import { readLines, utf8Blocks } from './lines.ts';
import { notInEncoding } from './text-encoding.ts';

const mostColumns = 10_000;
const rowsForHeader = 200;

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

/**
 * Names of the columns; one without a name (as pandas writes its index) is called by its place.
 * @throws TritsmithError `bad-input` without any name, with one twice, or with too many
 */
export function columnNames(file: string, fields: readonly string[]): string[] {
  const names = fields.map((name, i) => (name.trim() === '' ? nameByPlace(i + 1) : name));
  if (fields.every((name) => name.trim() === ''))
    throw new TritsmithError('bad-input', 'table.no-column-names', { file });
  checkHeader(file, names);
  return names;
}

/** How a table in text is to be read. */
export interface DelimitedReading extends Quoting {
  readonly delimiter: string;
  readonly encoding: TextEncoding;
  /** 0 to 1. */
  readonly confidence: number;
  /** Absent: found out. */
  readonly header?: ReadingFound['header'] | undefined;
  /** The first line only says what separates (`sep=;`, as Excel writes it). */
  readonly separatorLine: boolean;
}

/** A row of the file; `fields` is null for a line of more than 16 MB. */
interface DelimitedRecord {
  readonly fields: string[] | null;
  readonly line: number;
}

async function* plainRecords(file: string, reading: DelimitedReading): AsyncGenerator<DelimitedRecord> {
  for await (const { text, number } of readLines(file, reading.encoding))
    yield { fields: text === null ? null : text.split(reading.delimiter), line: number };
}

interface Parsed {
  record: string[];
  info: Info;
}

async function* quotedRecords(
  file: string,
  { delimiter, quote, escape, encoding }: DelimitedReading,
): AsyncGenerator<DelimitedRecord> {
  const input = await quotedInput(file, encoding);
  const parser = parse({
    bom: true,
    delimiter,
    quote,
    escape: escape === 'backslash' ? '\\' : quote,
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

async function quotedInput(file: string, encoding: TextEncoding): Promise<Readable> {
  if (encoding !== 'utf-8') return Readable.from(utf8Blocks(file, encoding), { objectMode: false });
  const { handle, size } = await openRegularFile(file);
  return handle.createReadStream({ highWaterMark: readSize(256 * 1024, size) });
}

const isEmpty = (fields: readonly string[]) => fields.length === 0 || (fields.length === 1 && fields[0] === '');

/** The records after a line that only says what separates. */
async function* recordsOf(file: string, reading: DelimitedReading): AsyncGenerator<DelimitedRecord> {
  const records = reading.quote === 'none' ? plainRecords(file, reading) : quotedRecords(file, reading);
  for await (const record of records) if (!(reading.separatorLine && record.line === 1)) yield record;
}

/** Names of the columns, and the line that they stand in (0: none does). */
async function findHeader(file: string, reading: DelimitedReading): Promise<{ columns: string[]; line: number }> {
  const sample: { fields: string[]; line: number }[] = [];
  const from = typeof reading.header === 'number' ? reading.header : 1;
  try {
    for await (const { fields, line } of recordsOf(file, reading)) {
      if (line < from || (fields !== null && isEmpty(fields))) continue;
      sample.push({ fields: fields ?? [''], line });
      if (typeof reading.header === 'number' || sample.length > rowsForHeader) break;
    }
  } catch (thrown) {
    // What is damaged further down is said by who reads the rows.
    if (sample.length === 0) throw thrown;
  }
  const [first, ...rows] = sample;
  if (first === undefined) throw noRows(file);
  const named =
    typeof reading.header === 'number' ||
    (reading.header !== 'none' &&
      isHeader(
        first.fields,
        rows.map(({ fields }) => fields),
      ));
  if (named) return { columns: columnNames(file, first.fields), line: first.line };
  return {
    columns: columnNames(
      file,
      first.fields.map((_, i) => nameByPlace(i + 1)),
    ),
    line: 0,
  };
}

/** The row, or null (with a problem noted) when it can't be one. */
function asRow(
  columns: readonly string[],
  { fields, line }: DelimitedRecord,
  { encoding, quote, delimiter }: DelimitedReading,
  problems: Problems,
): DatasetRow | null {
  if (fields === null) {
    problems.add(line, 'too-long', 'more than 16 MB; the line is left out');
    return null;
  }
  if (isEmpty(fields) && (columns.length > 1 || quote === 'none')) {
    problems.add(line, 'empty-line', 'an empty line');
    return null;
  }
  if (fields.length !== columns.length) {
    const wayOut =
      quote === 'none'
        ? 'Take tabs and line breaks out of the texts, or save the table as CSV with quotation marks.'
        : `Put texts that hold "${delimiter}" or line breaks in quotation marks, and double the quotation marks in them.`;
    problems.add(
      line,
      'ragged',
      `${fields.length} fields instead of ${columns.length}; the row is left out. ${wayOut}`,
    );
    return null;
  }
  if (fields.some((field) => field.includes('\0'))) {
    problems.add(
      line,
      'nul',
      'a NUL character, which no text has; the row is left out. The file may be damaged there.',
    );
    return null;
  }
  const values = Object.fromEntries(columns.map((name, i) => [name, fields[i]!]));
  if (fields.some((field) => field.includes('\ufffd'))) problems.add(line, 'invalid-utf8', notInEncoding(encoding));
  return { row: line, values };
}

/** @throws TritsmithError `bad-input` (no rows, no usable column names), `damaged` (a quotation mark that is not closed), also while iterating */
export async function openDelimited(file: string, reading: DelimitedReading): Promise<Source> {
  const { columns, line: headerLine } = await findHeader(file, reading);
  const { delimiter, quote, escape, encoding, confidence } = reading;
  return {
    format: delimiter === '\t' ? 'tsv' : 'csv',
    columns,
    reading: {
      ...nothingToSet,
      header: headerLine === 0 ? 'none' : headerLine,
      delimiter,
      quote,
      escape: quote === 'none' ? null : escape,
      encoding,
      confidence,
    },
    async *rows(problems) {
      for await (const record of recordsOf(file, reading)) {
        if (record.line <= headerLine) continue;
        const row = asRow(columns, record, reading, problems);
        if (row) yield row;
      }
    },
  };
}
