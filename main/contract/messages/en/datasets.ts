/** Files of rows and of text: what is wrong with them, and how to mend it. */
import { bytesInWords } from '../../quantities.ts';
import type { Sentences } from '../sentences.ts';

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
    remedy: 'Save the rows as TSV, CSV, JSONL, JSON or Parquet.',
  }),
  'rows.none-in-json': ({ file, reason }: { file: string; reason: string }): Sentences => ({
    message: `${file} holds no rows.`,
    reason,
    remedy: 'Rows are JSON objects: one per line (JSONL), in an array, or as the values of one object.',
  }),
  /** `size`, `most`: bytes. */
  'rows.json-too-large': ({ file, size, most }: { file: string; size: number; most: number }): Sentences => ({
    message: `${file} is too large to be read as one JSON document.`,
    reason: `It has ${bytesInWords(size)}; a JSON document has to be in memory whole, up to ${bytesInWords(most)}.`,
    remedy: 'Save it as JSONL (one object per line): that can be of any size.',
  }),
  'parquet.damaged': ({ problem }: { problem: string }): Sentences => ({
    message: 'The file is damaged.',
    reason: problem,
  }),
  'parquet.beyond-limits': ({ file, limit }: { file: string; limit: string }): Sentences => ({
    message: `${file} can't be read as Parquet: ${limit}.`,
    reason: 'The file is damaged, or its row groups are very large.',
    remedy: 'Download the file again, write it with smaller row groups, or save it as JSONL.',
  }),
  'parquet.unreadable': ({ file, reason }: { file: string; reason?: string | undefined }): Sentences => ({
    message: `${file} can't be read as Parquet.`,
    reason,
    remedy: 'Download the file again, or save it as JSONL.',
  }),
  'text.compressed': ({ file }: { file: string }): Sentences => ({
    message: `${file} is compressed.`,
    remedy: 'Unpack it first.',
  }),
  'text.spreadsheet': ({ file }: { file: string }): Sentences => ({
    message: `${file} is a spreadsheet or an archive, not a table in text.`,
    remedy: 'Open it and save the sheet as CSV (in Excel: "CSV UTF-8"), or unpack the archive first.',
  }),
  'text.utf-16': ({ file }: { file: string }): Sentences => ({
    message: `${file} is text in UTF-16.`,
    reason: 'Only UTF-8 is read.',
    remedy: 'Save it as UTF-8 (in Excel: "CSV UTF-8"; in LibreOffice: character set "Unicode (UTF-8)").',
  }),
  'text.nul-byte': ({ file, line }: { file: string; line: number }): Sentences => ({
    message: `${file} is no text.`,
    reason: `Line ${line} has a NUL byte, which no text has.`,
    remedy: 'Choose the file that holds the rows, or copy it again: it may be damaged.',
  }),
};
