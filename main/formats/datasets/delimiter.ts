/** Finds out what separates the fields of a table, and how fields are quoted. */
import type { ReadingFound } from '../../contract/table-reading.ts';

export type Delimiter = ',' | ';' | '\t' | '|';

const sampledRows = 20;

/** Fields per row of the sample; quotation marks count for all but tabs. */
function fieldCounts(text: string, delimiter: Delimiter): number[] {
  const counts: number[] = [];
  let fields = 1;
  let quoted = false;
  let fresh = true;
  let empty = true;
  for (const character of text) {
    if (character === '"' && delimiter !== '\t') quoted = quoted ? false : fresh || quoted;
    else if (!quoted && character === delimiter) fields++;
    else if (!quoted && character === '\n') {
      if (!empty) counts.push(fields);
      if (counts.length === sampledRows) return counts;
      fields = 1;
      empty = true;
    }
    fresh = character === delimiter || character === '\n' || character === '\r';
    if (character !== '\n' && character !== '\r') empty = false;
  }
  // The last row of a sample may be cut.
  if (counts.length === 0 && !empty) counts.push(fields);
  return counts;
}

/**
 * The delimiter with which most of the first rows have as many fields as the header, two at least; of equals the one that `favourite`
 * (by the file's name) or else the order names. Null where none makes two columns.
 */
export function findDelimiter(text: string, favourite: Delimiter | null): Delimiter | null {
  let best: { delimiter: Delimiter; agreement: number } | null = null;
  const order = ([favourite, '\t', ',', ';', '|'] as const).filter((item) => item !== null);
  for (const delimiter of order) {
    const [header = 1, ...rows] = fieldCounts(text, delimiter);
    if (header < 2) continue;
    const agreement = rows.length === 0 ? 1 : rows.filter((fields) => fields === header).length / rows.length;
    if (best === null || agreement > best.agreement + 0.1) best = { delimiter, agreement };
  }
  return best?.delimiter ?? null;
}

export type Quoting = { readonly [Field in 'quote' | 'escape']: NonNullable<ReadingFound[Field]> };

const plain: Quoting = { quote: 'none', escape: 'doubled' };

/**
 * Tabs separate without quotation marks, as in GLUE, unless every field that has one is quoted as a whole and one of them needed it.
 * Others quote with `"`. A mark inside a quoted field is doubled, unless the sample has none of these and marks behind a backslash.
 */
export function findQuoting(text: string, delimiter: string): Quoting {
  if (delimiter === '\t') {
    const fields = text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split(/[\t\n]/)
      .map((field) => field.replace(/\r$/, ''))
      .filter((field) => field.includes('"'));
    const quoted = fields.every((field) => /^"([^"]|"")*"$/.test(field));
    const needed = fields.some((field) => field.slice(1, -1).includes('""'));
    return quoted && needed ? { quote: '"', escape: 'doubled' } : plain;
  }
  // A backslash before the mark that closes a field (a folder of Windows) escapes nothing.
  const behindBackslash = [...text.matchAll(/\\"(.)/gs)].filter(
    ([, after]) => after !== delimiter && !/[\r\n"]/.test(after!),
  );
  const doubled = [...text.matchAll(/[^"\r\n]""[^"\r\n]/g)].filter(([found]) => !found.includes(delimiter));
  return { quote: '"', escape: behindBackslash.length > 0 && doubled.length === 0 ? 'backslash' : 'doubled' };
}
