/** Whether the first row of a table names its columns, or is a row like the others. */

const isNumber = (text: string) => /^\s*[-+]?\d+([.,]\d+)*\s*%?\s*$/.test(text);
/** A sentence or more: column names are shorter. */
const isProse = (text: string) => text.length >= 25 && text.trim().split(/\s+/).length >= 5;

/** As pandas writes columns that have no names: 0, 1, 2 and so on, the index before them without one. */
function countsUp(fields: readonly string[]): boolean {
  const counted = fields[0]?.trim() === '' ? fields.slice(1) : fields;
  return counted.length > 0 && counted.every((field, i) => field.trim() === String(i));
}

/**
 * A header unless something speaks against it: a number among its fields, a field that is one of few values of the column below it, or
 * prose in every field.
 * @param rows those below it, a few hundred at most
 */
export function isHeader(fields: readonly string[], rows: readonly (readonly string[])[]): boolean {
  const first = fields.map((field) => field.trim());
  if (first.every((field) => field === '') || countsUp(first)) return true;
  if (first.some(isNumber)) return false;
  const others = rows.filter((row) => row.length === first.length && row.some((field, i) => field.trim() !== first[i]));
  if (others.length === 0) return true;
  const recurs = first.some((field, column) => {
    if (field === '') return false;
    const values = others.map((row) => row[column]!.trim());
    const distinct = new Set(values);
    return distinct.has(field) && distinct.size <= values.length / 2 + 1 && first.length > 1;
  });
  return !recurs && !first.every(isProse);
}

/** What a column without a name is called. */
export const nameByPlace = (place: number) => `column ${place}`;

/** Whether a column was named by its place, so that its file had no header. */
export const isNameByPlace = (name: string) => /^column \d+$/.test(name);
