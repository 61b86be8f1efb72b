/** What the catalogue's functions give, and small helpers for writing them. */

/** What happened, why (where it is known), and what to do next. */
export interface Sentences {
  readonly message: string;
  readonly reason?: string | undefined;
  readonly remedy?: string | undefined;
}

/** A finding: its id and parameters where the catalogue has it, and the text that was written when it was found. */
export interface Told {
  readonly id?: string | undefined;
  readonly params?: unknown;
  readonly text: string;
}

/** Says a finding that stands in the parameters of a message. */
export type Say = (finding: Told) => string;

/** What happened, why and what to do, one after the other. */
export function inOneText({ message, reason, remedy }: Sentences): string {
  return [message, reason, remedy].filter((part) => part !== undefined).join(' ');
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
