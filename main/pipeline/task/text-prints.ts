/** Which rows have the same text, or nearly the same: found by small prints of texts, not by the texts. */
import { createHash } from 'node:crypto';

/** Letters and signs that decide: not how a text is composed, its case, or how many blanks it has. */
function plainText(values: Readonly<Record<string, string>>, textColumns: readonly string[]): string {
  return textColumns
    .map((column) => values[column] ?? '')
    .join('\n')
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\p{Cf}/gu, '')
    .replace(/\s+/gu, ' ')
    .trim();
}

const bins = 64;
/** Base of the rolling hash over a piece's characters, and its power that the first of them has. */
const base = 0x01000193;
/** Characters of a piece; texts are compared by the pieces that they share. */
const piece = 6;
const leaving = Array.from({ length: piece - 1 }).reduce<number>((power) => Math.imul(power, base), 1);
/** Shorter texts are only compared as a whole: a word more or less is a large part of them. */
const shortest = 60;
/** What is looked at of one text. */
const longest = 4000;
/** Share of equal bins from which on two texts are nearly the same. */
const nearly = 0.8;
/** Neighbouring bins that have to be equal before two texts are compared. */
const band = 4;
/** Rows that are remembered for one band: more of the same kind tell nothing new. */
const mostAlike = 4;
/** Texts whose pieces are kept; of more, only equal texts are found. */
const mostPrinted = 100_000;

/**
 * MinHash by one permutation (Li, Owen and Zhang, 2012): the least hash of a text's pieces in each of 64 bins; bins without a piece stay empty.
 * The share of equal bins estimates the share of pieces that two texts have in common.
 */
function printOf(text: string): Uint32Array | null {
  if (text.length < shortest) return null;
  const print = new Uint32Array(bins).fill(0xffff_ffff);
  const end = Math.min(text.length, longest) - piece;
  let rolling = 0;
  for (let at = 0; at < piece - 1; at += 1) rolling = Math.imul(rolling, base) + text.charCodeAt(at);
  for (let start = 0; start <= end; start += 1) {
    rolling = (Math.imul(rolling, base) + text.charCodeAt(start + piece - 1)) | 0;
    let hash = Math.imul(rolling ^ (rolling >>> 15), 0x2c1b3c6d);
    hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
    hash = (hash ^ (hash >>> 15)) >>> 0;
    rolling -= Math.imul(text.charCodeAt(start), leaving);
    const bin = hash >>> 26;
    print[bin] = Math.min(print[bin]!, hash);
  }
  return print;
}

function alike(one: Uint32Array, other: Uint32Array): boolean {
  let filled = 0;
  let unequal = 0;
  for (let bin = 0; bin < bins; bin += 1) {
    if (one[bin] === other[bin]) {
      if (one[bin] !== 0xffff_ffff) filled += 1;
    } else {
      filled += 1;
      unequal += 1;
      if (unequal > (1 - nearly) * bins) return false;
    }
  }
  return unequal <= (1 - nearly) * filled;
}

/** Prints of many texts, by row. */
export class TextPrints {
  /** Digest of each text, 48 bits. */
  readonly keys: number[] = [];
  readonly #prints: (Uint32Array | null)[] = [];

  add(values: Readonly<Record<string, string>>, textColumns: readonly string[]): void {
    const text = plainText(values, textColumns);
    this.keys.push(createHash('sha256').update(text).digest().readUIntBE(0, 6));
    if (this.#prints.length < mostPrinted) this.#prints.push(printOf(text));
  }

  print(row: number): Uint32Array | null {
    return this.#prints[row] ?? null;
  }
}

/** Texts that others are looked up among. */
export class KnownTexts {
  readonly #first = new Map<number, number>();
  readonly #bands = Array.from({ length: bins / band }, () => new Map<number, number[]>());
  readonly #prints: TextPrints;

  constructor(prints: TextPrints) {
    this.#prints = prints;
  }

  add(row: number): void {
    const key = this.#prints.keys[row]!;
    if (this.#first.has(key)) return;
    this.#first.set(key, row);
    const print = this.#prints.print(row);
    if (print === null) return;
    this.#bands.forEach((rows, at) => {
      const value = bandOf(print, at);
      if (value === null) return;
      const own = rows.get(value);
      if (own === undefined) rows.set(value, [row]);
      else if (own.length < mostAlike) own.push(row);
    });
  }

  /** The first row with this text. */
  same(prints: TextPrints, row: number): number | null {
    return this.#first.get(prints.keys[row]!) ?? null;
  }

  /** A row with nearly this text. */
  near(prints: TextPrints, row: number): number | null {
    const print = prints.print(row);
    if (print === null) return null;
    for (const [at, rows] of this.#bands.entries()) {
      const value = bandOf(print, at);
      for (const known of value === null ? [] : (rows.get(value) ?? []))
        if (alike(print, this.#prints.print(known)!)) return known;
    }
    return null;
  }
}

/** Bins of one band as a number; null where one is empty. */
function bandOf(print: Uint32Array, at: number): number | null {
  let hash = 0;
  for (let bin = at * band; bin < (at + 1) * band; bin += 1) {
    if (print[bin] === 0xffff_ffff) return null;
    hash = Math.imul(hash ^ print[bin]!, 0x01000193);
    hash ^= hash >>> 15;
  }
  // Small integers are what a Map finds fastest.
  return hash >> 2;
}
