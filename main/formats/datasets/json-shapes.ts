/** Finds the rows in a JSON document: the shapes that pandas and others write. */
import { type Json, type JsonObject, isJsonObject, ownValue } from '../../basics/bounded-json.ts';
import { isHeader, nameByPlace } from './header.ts';

/** Rows as objects by column; an element that is none is kept for what is said of it. */
export interface FoundRows {
  readonly items: readonly Json[];
  /** The key whose value they are, of which there may be others; null where the document itself is the rows. */
  readonly sheet: string | null;
  readonly sheets: readonly { readonly name: string; readonly rows: number }[];
  /** Set where the rows are lists: whether the first one names the columns. */
  readonly header: 1 | 'none' | null;
}

const whole = (items: readonly Json[]): FoundRows => ({ items, sheet: null, sheets: [], header: null });
const isNumbered = (names: readonly string[]) => names.length > 0 && names.every((name) => /^\d+$/.test(name));
const isSimple = (value: Json) => value === null || typeof value !== 'object';
const textOfName = (value: Json) => (typeof value === 'string' ? value : JSON.stringify(value));

function objectOf(columns: readonly string[], values: readonly Json[]): JsonObject {
  return Object.fromEntries(columns.map((name, i) => [name, values[i] ?? null]));
}

/** `[[...], [...]]`: the first list names the columns where it looks like it, or `header` says so. */
function fromLists(lists: readonly Json[], header: 1 | 'none' | null): FoundRows {
  const rows = lists.map((list) => (Array.isArray(list) ? list : []));
  const asText = (row: readonly Json[]) => row.map((value) => (value === null ? '' : textOfName(value)));
  const [first = [], ...rest] = rows;
  const strings = first.length > 0 && first.every((value) => typeof value === 'string');
  const named =
    header === null
      ? strings && new Set(first).size === first.length && isHeader(asText(first), rest.slice(0, 200).map(asText))
      : header === 1;
  const width = Math.min(
    10_000,
    rows.reduce((most, row) => Math.max(most, row.length), 0),
  );
  const columns = Array.from({ length: width }, (_, i) => (named ? asText(first)[i] : undefined) || nameByPlace(i + 1));
  const items = (named ? lists.slice(1) : lists).map((list) => (Array.isArray(list) ? objectOf(columns, list) : list));
  return { items: named ? [null, ...items] : items, sheet: null, sheets: [], header: named ? 1 : 'none' };
}

/** `{column: {row: value}}`, as `to_json()` of pandas writes by default; null for `{row: {column: value}}` and what is neither. */
function fromColumns(root: JsonObject): FoundRows | null {
  const outer = Object.keys(root);
  const values = Object.values(root);
  if (outer.length === 0 || !values.every(isJsonObject)) return null;
  const inner = Object.keys(values[0] as JsonObject);
  if (inner.length === 0) return null;
  const rows = values;
  if (!rows.every((row) => Object.values(row).every(isSimple))) return null;
  const numberedOutside = isNumbered(outer);
  const numberedInside = rows.every((row) => isNumbered(Object.keys(row)));
  // Names on both sides, or numbers on both: a table has more rows than columns.
  const transposed =
    numberedInside === numberedOutside
      ? inner.length > (numberedInside ? outer.length : Math.max(20, 3 * outer.length))
      : numberedInside;
  if (!transposed) return null;
  const keys = new Set(rows.flatMap((row) => Object.keys(row)));
  const columns = outer.map((name) => (numberedOutside ? nameByPlace(Number(name) + 1) : name));
  return whole(
    [...keys].map((key) =>
      objectOf(
        columns,
        rows.map((row) => ownValue(row, key) ?? null),
      ),
    ),
  );
}

/** `{column: [values]}` with lists of one length. */
function fromColumnLists(root: JsonObject): FoundRows | null {
  const lists = Object.values(root);
  const [first] = lists;
  if (!Array.isArray(first) || first.length === 0 || lists.length < 2) return null;
  if (
    !lists.every((list) => Array.isArray(list) && list.length === first.length && list.every((v) => !isJsonObject(v)))
  )
    return null;
  const columns = Object.keys(root);
  return whole(
    first.map((_, row) =>
      objectOf(
        columns,
        lists.map((list) => (list as Json[])[row]!),
      ),
    ),
  );
}

/** `orient='split'` of pandas, with its columns named beside the rows. */
function fromSplit(root: JsonObject): FoundRows | null {
  const columns = ownValue(root, 'columns');
  const data = ownValue(root, 'data');
  if (!Array.isArray(columns) || !Array.isArray(data) || !data.every((row) => Array.isArray(row))) return null;
  const names = columns.slice(0, 10_000).map(textOfName);
  return whole(data.map((row) => objectOf(names, row)));
}

/** Rows under a key (`{"data": [...]}`): under `sheet`, else the longest list. */
function underKey(root: JsonObject, sheet: string | undefined): FoundRows | null {
  const lists = Object.entries(root).filter(
    ([, value]) => Array.isArray(value) && value.some((item) => isJsonObject(item) || Array.isArray(item)),
  ) as [string, Json[]][];
  const longest = lists.toSorted(([, a], [, b]) => b.length - a.length)[0];
  const chosen = sheet === undefined ? longest : lists.find(([name]) => name === sheet);
  if (chosen === undefined) return null;
  const [name, list] = chosen;
  const found = list.some(isJsonObject) ? whole(list) : fromLists(list, null);
  return { ...found, sheet: name, sheets: lists.map(([key, items]) => ({ name: key, rows: items.length })) };
}

/**
 * Null where there are no rows.
 * @param options `sheet`: the key that holds the rows; `header`: whether the first of rows that are lists names the columns
 */
export function findRows(
  root: Json,
  options: { sheet?: string | undefined; header: 1 | 'none' | null },
): FoundRows | null {
  if (Array.isArray(root)) {
    if (root.some(isJsonObject)) return whole(root);
    return root.length > 0 &&
      root.every((item) => Array.isArray(item) && item.length > 0 && item.every(isSimple)) &&
      root.length > 1
      ? fromLists(root, options.header)
      : null;
  }
  if (!isJsonObject(root)) return null;
  const found =
    (options.sheet === undefined ? (fromSplit(root) ?? fromColumns(root)) : null) ??
    underKey(root, options.sheet) ??
    fromColumnLists(root);
  if (found !== null) return found;
  const items = Object.values(root);
  return options.sheet === undefined && items.some(isJsonObject) ? whole(items) : null;
}
