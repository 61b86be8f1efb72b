/** Flags that say how a file of rows is read, and how it was read in words. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type ReadingFound, readingOptions, type ReadingOptions, textEncoding } from '../../contract/table-reading.ts';
import { percent } from '../../contract/quantities.ts';

export interface ReadingFlags {
  readonly sheet?: string;
  readonly devSheet?: string;
  readonly header?: ReadingOptions['header'];
  readonly delimiter?: string;
  readonly quote?: ReadingOptions['quote'];
  readonly escape?: ReadingOptions['escape'];
  readonly encoding?: ReadingOptions['encoding'];
}

function headerRow(text: string): number | 'none' {
  const parsed = readingOptions.shape.header.safeParse(text === 'none' ? text : Number(text));
  if (parsed.success && parsed.data !== undefined) return parsed.data;
  throw new InvalidArgumentError('It must be the number of a row, from 1, or none.');
}

function delimiter(text: string): string {
  const parsed = readingOptions.shape.delimiter.safeParse(text === 'tab' ? '\t' : text);
  if (parsed.success && parsed.data !== undefined) return parsed.data;
  throw new InvalidArgumentError('It must be one character, or tab.');
}

const marks = { double: '"', single: "'", none: 'none' } as const;

function quoteMark(text: string): ReadingOptions['quote'] {
  if (Object.hasOwn(marks, text)) return marks[text as keyof typeof marks];
  throw new InvalidArgumentError(`It must be one of ${Object.keys(marks).join(', ')}.`);
}

/** Adds the flags; without them everything is found out from the file. */
export function withReadingFlags(command: Command): Command {
  return withFileFlags(command).option('--dev-sheet <name>', 'the same of the evaluation rows');
}

/** The same for a file by itself. */
export function withFileFlags(command: Command): Command {
  return command
    .option(
      '--sheet <name>',
      'sheet of a workbook, table of a database, key of a JSON object (default: with most rows)',
    )
    .option('--header <row>', 'row with the names of the columns, or "none" (default: found out)', headerRow)
    .option('--delimiter <character>', 'what separates the columns, or "tab" (default: found out)', delimiter)
    .option('--quote <mark>', 'double, single or none (default: found out)', quoteMark)
    .addOption(
      new Option('--escape <way>', 'how a quotation mark is written inside a quoted text (default: found out)').choices(
        ['doubled', 'backslash'],
      ),
    )
    .addOption(new Option('--encoding <name>', 'of a text file (default: found out)').choices(textEncoding.options));
}

/** The part of a task's settings that the flags make; empty without any. */
export function readingOf(flags: ReadingFlags): { reading?: ReadingOptions } {
  const { sheet, devSheet, header, delimiter, quote, escape, encoding } = flags;
  const given = Object.entries({ sheet, devSheet, header, delimiter, quote, escape, encoding }).filter(
    ([, value]) => value !== undefined,
  );
  return given.length === 0 ? {} : { reading: Object.fromEntries(given) };
}

const names: Readonly<Record<string, string>> = { '\t': 'tab', ',': 'comma', ';': 'semicolon', '|': 'bar' };

/** "UTF-8, comma, header in row 1"; null for formats that leave nothing open. */
export function readingInWords(reading: ReadingFound): string | null {
  const { sheet, sheets, header, delimiter: separator, quote, escape, encoding, confidence } = reading;
  const parts = [
    ...(sheet === null ? [] : [`"${sheet}"${sheets.length > 1 ? ` of ${String(sheets.length)}` : ''}`]),
    ...(encoding === null
      ? []
      : [encoding + (confidence !== null && confidence < 1 ? ` (${percent(confidence, 0)} sure)` : '')]),
    ...(separator === null ? [] : [`separated by ${names[separator] ?? separator}`]),
    ...(quote === null ? [] : [quote === 'none' ? 'no quotation marks' : `quoted by ${quote}`]),
    ...(escape === 'backslash' ? ['escaped by a backslash'] : []),
    ...(header === null ? [] : [header === 'none' ? 'no header' : `header in row ${String(header)}`]),
  ];
  return parts.length === 0 ? null : parts.join(', ');
}
