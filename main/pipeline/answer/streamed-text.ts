/** Text of tokens as they come: whole characters only, and nothing of a stop string. */
import type { Tokenizer } from '../../formats/tokenizers/index.ts';

/** Tokens before the answer that decide how its first word is written (with or without a space, say). */
const contextTokens = 8;

export class StreamedText {
  readonly #tokenizer: Tokenizer;
  readonly #stop: readonly string[];
  #tokens: number[];
  /** Tokens from here on are decoded anew; those before `#read` have been told. */
  #anchor = 0;
  #read: number;
  /** Decoded, but it may be the beginning of a stop string. */
  #held = '';
  #stopped = false;

  /**
   * @param stop strings that end the text; they are no part of it
   * @param prompt the text goes on after these tokens; none: it stands by itself
   */
  constructor(tokenizer: Tokenizer, stop: readonly string[] = [], prompt: ArrayLike<number> = []) {
    this.#tokenizer = tokenizer;
    this.#stop = stop.filter((text) => text !== '');
    this.#tokens = Array.from(prompt).slice(-contextTokens);
    this.#read = this.#tokens.length;
  }

  /** A stop string has been met. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** What can be told after one more token; often nothing. */
  push(token: number): string {
    this.#tokens.push(token);
    return this.#settle(this.#decoded(false));
  }

  /** What was held back, at the end. */
  end(): string {
    const rest = this.#settle(this.#decoded(true)) + (this.#stopped ? '' : this.#held);
    this.#held = '';
    return rest;
  }

  /** New characters; those of a character that lacks bytes wait for its last token. */
  #decoded(last: boolean): string {
    const decode = (to: number): string =>
      this.#tokenizer.decode(this.#tokens.slice(this.#anchor, to), { skipSpecialTokens: true });
    const told = decode(this.#read);
    const all = decode(this.#tokens.length);
    if (all.length <= told.length || (all.endsWith('\u{fffd}') && !last)) return '';
    this.#anchor = this.#read;
    this.#read = this.#tokens.length;
    return all.slice(told.length);
  }

  #settle(fresh: string): string {
    if (this.#stopped) return '';
    const text = this.#held + fresh;
    const found = this.#stop.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#stopped = true;
      this.#held = '';
      return text.slice(0, Math.min(...found));
    }
    const open = Math.max(0, ...this.#stop.map((stop) => beginningAtEnd(text, stop)));
    this.#held = text.slice(text.length - open);
    return text.slice(0, text.length - open);
  }
}

/** How many characters at the end of `text` are a beginning of `stop`. */
function beginningAtEnd(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1)
    if (text.endsWith(stop.slice(0, length))) return length;
  return 0;
}
