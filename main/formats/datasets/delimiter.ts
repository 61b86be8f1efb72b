/** Finds out what separates the fields of a table. */

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
