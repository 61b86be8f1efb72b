/** The Markdown that a model card is made of. */

/** A table; what is in a cell stays in it. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Text of someone's data as a code span, in which Markdown and HTML mean nothing; the middle of a long one is left out. */
export function quoted(text: string, longest = 400): string {
  const plain = text.replaceAll('`', 'ˋ').trim();
  const half = longest / 2;
  const cut = plain.length <= longest ? plain : `${plain.slice(0, half)} … ${plain.slice(-half)}`;
  return cut === '' ? '(nothing)' : `\`${cut}\``;
}
