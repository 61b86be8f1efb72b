/** The tokens of an answer: one function for check, preview, training, evaluation and playground, so that they cannot disagree. */
import type { Tokenizer } from '../../formats/tokenizers/index.ts';

/** How much of a prompt's end decides how an answer joins it. */
const tailCharacters = 8;

export function promptTail(prompt: string): string {
  return prompt.slice(-tailCharacters);
}

/**
 * Tokens of `answer` where it follows a prompt that ends with `tail`: what the two together have more than the tail alone.
 * (Tokenised by itself, an answer would get the mark that some tokenizers put before the first word of a text.)
 */
export function answerTokens(tokenizer: Tokenizer, tail: string, answer: string): Int32Array {
  const before = tokenizer.encode(tail, { addSpecialTokens: false });
  const both = tokenizer.encode(tail + answer, { addSpecialTokens: false });
  if (both.length > before.length && before.every((id, index) => both[index] === id))
    return Int32Array.from(both.slice(before.length));
  return Int32Array.from(tokenizer.encode(answer, { addSpecialTokens: false }));
}

/**
 * Tokens of a written answer, its end token included: what a generation student is trained on and what a reference is scored as.
 * A space joins prompt and answer unless the prompt ends with white space, as a chat of the base model would have it.
 * @param most longest answer in tokens, the end token included
 */
export function writtenAnswerTokens(tokenizer: Tokenizer, tail: string, answer: string, most: number): Int32Array {
  const stop = tokenizer.eosId === null ? [] : [tokenizer.eosId];
  const ids = answerTokens(tokenizer, tail, /(^|\s)$/.test(tail) ? answer : ` ${answer}`);
  return Int32Array.from([...ids.subarray(0, Math.max(0, most - stop.length)), ...stop]);
}
