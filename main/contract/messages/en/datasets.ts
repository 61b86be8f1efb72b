/** Files of rows and of text: what is wrong with them, and how to mend it. */
import { bytesInWords } from '../../quantities.ts';
import type { Sentences } from '../sentences.ts';

/** What a file was read as. */
type RowsKind = 'Parquet' | 'a workbook' | 'SQLite';

export const datasets = {
  'table.column-names': ({ file, reason }: { file: string; reason: string }): Sentences => ({
    message: `${file} has no usable column names.`,
    reason,
    remedy: 'Give every column a name of its own in the first line.',
  }),
  'table.no-column-names': ({ file }: { file: string }): Sentences => ({
    message: `${file} has no usable column names.`,
    reason: 'Its first line names no column.',
    remedy: 'Put a line with the names of the columns first.',
  }),
  'table.empty': ({ file }: { file: string }): Sentences => ({
    message: `${file} is empty.`,
    remedy: 'Choose a file with a header line and rows.',
  }),
  'table.quotation': ({ file, line, problem }: { file: string; line: number; problem: string }): Sentences => ({
    message: `${file} can't be read from line ${line} on.`,
    reason: problem,
    remedy: 'Close the quotation mark there, or save the table as TSV, where quotation marks mean nothing.',
  }),
  'table.line-ends': ({ file }: { file: string }): Sentences => ({
    message: `${file} has line ends of another kind.`,
    reason: 'Its lines end with CR alone, as on very old Macs.',
    remedy: 'Save it with line ends of Unix (LF) or Windows (CRLF).',
  }),
  'table.not-written': ({ file, kinds }: { file: string; kinds: readonly string[] }): Sentences => ({
    message: `${file} can't be written.`,
    reason: 'The ending of its name says of no known kind of table that it is one.',
    remedy: `Give it a name that ends in one of ${kinds.join(', ')}.`,
  }),
  'table.too-long-for-excel': ({ file, most }: { file: string; most: number }): Sentences => ({
    message: `There are too many rows for ${file}.`,
    reason: `A sheet of Excel has at most ${most} rows below its header.`,
    remedy: 'Write them as .csv, .tsv or .jsonl.',
  }),
  'table.cell-too-long-for-excel': ({ file, row, most }: { file: string; row: number; most: number }): Sentences => ({
    message: `Row ${row} has a text that is too long for ${file}.`,
    reason: `A cell of Excel has at most ${most} characters.`,
    remedy: 'Write the rows as .csv, .tsv or .jsonl.',
  }),
  'table.unknown-kind': ({ file }: { file: string }): Sentences => ({
    message: `${file} is no table that can be read.`,
    reason:
      'Its name ends in none of .tsv, .csv, .jsonl, .json, .parquet, and its first line has no tab, comma, semicolon or bar.',
    remedy: 'Say what separates its columns, or save the rows as a workbook, TSV, CSV, JSONL, JSON or Parquet.',
  }),
  'rows.none-in-json': ({ file, reason }: { file: string; reason: string }): Sentences => ({
    message: `${file} holds no rows.`,
    reason,
    remedy:
      'Rows are JSON objects, one per line (JSONL) or in an array, also under a key; or what to_json() of pandas writes.',
  }),
  /** `size`, `most`: bytes. */
  'rows.json-too-large': ({ file, size, most }: { file: string; size: number; most: number }): Sentences => ({
    message: `${file} is too large to be read as one JSON document.`,
    reason: `It has ${bytesInWords(size)}; a JSON document has to be in memory whole, up to ${bytesInWords(most)}.`,
    remedy: 'Save it as JSONL (one object per line): that can be of any size.',
  }),
  'rows.damaged': ({ problem }: { problem: string }): Sentences => ({
    message: 'The file is damaged.',
    reason: problem,
  }),
  'rows.beyond-limits': ({ file, kind, limit }: { file: string; kind: RowsKind; limit: string }): Sentences => ({
    message: `${file} can't be read as ${kind}: ${limit}.`,
    reason: {
      Parquet: 'The file is damaged, or its row groups are very large.',
      'a workbook': 'The file is damaged, or unpacks to far more than its size lets expect.',
      SQLite: 'The file is damaged, or it is very large.',
    }[kind],
    remedy: {
      Parquet: 'Download the file again, write it with smaller row groups, or save it as JSONL.',
      'a workbook': 'Open it, and save the sheet with the rows as "CSV UTF-8".',
      SQLite: 'Export the table with the rows as CSV or JSONL.',
    }[kind],
  }),
  'rows.unreadable': ({
    file,
    kind,
    reason,
  }: {
    file: string;
    kind: RowsKind;
    reason?: string | undefined;
  }): Sentences => ({
    message: `${file} can't be read as ${kind}.`,
    reason,
    remedy:
      kind === 'a workbook'
        ? 'Open it in its program and save it again, or save the sheet as "CSV UTF-8".'
        : `${kind === 'Parquet' ? 'Download' : 'Copy'} the file again, or save it as JSONL.`,
  }),
  'sheet.absent': ({ file, sheet, sheets }: { file: string; sheet: string; sheets: string[] }): Sentences => ({
    message: `${file} has no "${sheet}" with rows.`,
    reason: `There is ${sheets.map((name) => `"${name}"`).join(', ') || 'nothing'} in it.`,
    remedy: 'Choose one of these, or none: then the one with most rows is taken.',
  }),
  'database.in-use': ({ file }: { file: string }): Sentences => ({
    message: `${file} is in use.`,
    reason: 'Some of its rows are still in the file beside it that ends in "-wal".',
    remedy: 'Close the program that writes it, or export the table as CSV.',
  }),
  'database.duckdb': ({ file }: { file: string }): Sentences => ({
    message: `${file} is a DuckDB database.`,
    remedy: "Export the table as Parquet: COPY name TO 'rows.parquet';",
  }),
  'folder.no-classes': ({ folder }: { folder: string }): Sentences => ({
    message: `${folder} is a folder without classes.`,
    reason: 'A folder of rows has a folder with .txt files for each class, two at least.',
    remedy: 'Choose the folder above those of the classes, or a file.',
  }),
  'folder.too-many': ({ folder, most }: { folder: string; most: number }): Sentences => ({
    message: `${folder} holds more than ${most} files.`,
    remedy: 'Put the rows into one file: Parquet or JSONL.',
  }),
  'workbook.old': ({ file }: { file: string }): Sentences => ({
    message: `${file} is a workbook of an old Excel (.xls), or is protected by a password.`,
    remedy: 'Open it and save it as "Excel Workbook (.xlsx)" without a password.',
  }),
  'text.compressed': ({ file }: { file: string }): Sentences => ({
    message: `${file} is compressed.`,
    remedy: 'Unpack it first.',
  }),
  'text.archive': ({ file }: { file: string }): Sentences => ({
    message: `${file} is an archive or a document, not a table.`,
    reason: 'Of packed files, workbooks are read: .xlsx and .ods.',
    remedy: 'Unpack it first, or copy the rows into a sheet and save that.',
  }),
  'text.nul-byte': ({ file, line }: { file: string; line: number }): Sentences => ({
    message: `${file} is no text.`,
    reason: `Line ${line} has a NUL byte, which no text has.`,
    remedy: 'Choose the file that holds the rows, or copy it again: it may be damaged.',
  }),
};
