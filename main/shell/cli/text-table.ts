/** Aligned columns of plain text. */

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** A column and what it says of each thing that is listed. */
export interface ColumnOf<T> extends Column {
  readonly of: (each: T) => string;
}

/** A table of things, or `empty` where there are none. */
export function tableOf<T>(things: readonly T[], columns: readonly ColumnOf<T>[], empty: string): string {
  if (things.length === 0) return empty;
  return textTable(
    columns,
    things.map((each) => columns.map(({ of }) => of(each))),
  );
}

/** A header, a rule and the rows; the first column is left-aligned unless it says otherwise, the others right. Ends with a newline. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, index) => {
        const cell = cells[index] ?? '';
        const width = widths[index] ?? 0;
        return (align ?? (index === 0 ? 'left' : 'right')) === 'left' ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return `${[line(columns.map(({ title }) => title)), rule, ...rows.map(line)].join('\n')}\n`;
}

/** `label  value` lines with the values in one column. */
export function facts(pairs: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([label]) => label.length));
  return `${pairs.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join('\n')}\n`;
}
