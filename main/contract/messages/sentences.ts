/** What the catalogue's functions give, and small helpers for writing them. */

/** What happened, why (where it is known), and what to do next. */
export interface Sentences {
  readonly message: string;
  readonly reason?: string | undefined;
  readonly remedy?: string | undefined;
}

/** `a, b, c, …`: at most `most` of `items`. */
export function firstOf(items: readonly string[], most: number): string {
  return `${items.slice(0, most).join(', ')}${items.length > most ? ', …' : ''}`;
}

/** `"a", "b"`. */
export function quoted(items: readonly string[]): string {
  return items.map((item) => `"${item}"`).join(', ');
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
