/** How a file of rows is read: what a person may set by hand, and what was found out about a file. */
import { z } from 'zod';

/** By their names in the WHATWG Encoding Standard. */
export const textEncoding = z.enum([
  'utf-8',
  'utf-16le',
  'utf-16be',
  'windows-1252',
  'windows-1250',
  'windows-1251',
  'windows-1253',
  'windows-1254',
  'windows-1255',
  'windows-1256',
  'windows-1257',
  'iso-8859-2',
  'koi8-r',
  'gb18030',
  'big5',
  'shift_jis',
  'euc-jp',
  'euc-kr',
]);
export type TextEncoding = z.infer<typeof textEncoding>;

/** The line (text) or row (workbook) with the names of the columns, from 1; `none`: the first row is a row like the others. */
const headerRow = z.union([z.int().min(1).max(1000), z.literal('none')]);
const quoteMark = z.enum(['"', "'", 'none']);
/** How a quotation mark inside a quoted field is written. */
const quoteEscape = z.enum(['doubled', 'backslash']);

/** Everything is optional: what is absent is found out from the file. It holds for training and evaluation rows alike. */
export const readingOptions = z.object({
  /** Sheet of a workbook, table of a database, or key of a JSON object. Of the training file alone. */
  sheet: z.string().min(1).max(1000).optional(),
  /** The same of the evaluation file. */
  devSheet: z.string().min(1).max(1000).optional(),
  header: headerRow.optional(),
  /** One character. */
  delimiter: z
    .string()
    .regex(/^[^\r\n"'\\]$/u)
    .optional(),
  quote: quoteMark.optional(),
  escape: quoteEscape.optional(),
  encoding: textEncoding.optional(),
});
export type ReadingOptions = z.infer<typeof readingOptions>;

/** How a file is read, found out or set; null where the format has no such thing. */
export const readingFound = z.object({
  sheet: z.string().nullable(),
  /** What `sheet` may be, with their rows. */
  sheets: z.array(z.object({ name: z.string(), rows: z.number() })),
  header: headerRow.nullable(),
  delimiter: z.string().nullable(),
  quote: quoteMark.nullable(),
  escape: quoteEscape.nullable(),
  encoding: textEncoding.nullable(),
  /** How sure the encoding is, 0 to 1; 1 where it was set or can be nothing else. */
  confidence: z.number().min(0).max(1).nullable(),
});
export type ReadingFound = z.infer<typeof readingFound>;

/** Of a format that says everything itself. */
export const nothingToSet: ReadingFound = {
  sheet: null,
  sheets: [],
  header: null,
  delimiter: null,
  quote: null,
  escape: null,
  encoding: null,
  confidence: null,
};
