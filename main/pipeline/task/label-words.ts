/** The words with which a model answers a classification prompt. */
import { TritsmithError } from '../../contract/errors.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { answerTokens } from './answer-tokens.ts';

/** Beyond so many values a column is taken for free text. */
export const mostClasses = 1000;

export interface LabelWords {
  /** Class values in the order of their index. */
  readonly classes: readonly string[];
  readonly words: readonly string[];
  /** Response tokens per class. */
  readonly ids: readonly Int32Array[];
  /** Every answer is one token of its own, so comparing logits at one position decides. */
  readonly singleToken: boolean;
}

/** Tokens that a row keeps free for its answer: those of the longest label, of a written answer as many as it may have. */
export function longestAnswer(labels: LabelWords | null, maxNewTokens: number): number {
  return labels === null ? maxNewTokens : Math.max(...labels.ids.map((ids) => ids.length));
}

function distinct(ids: readonly Int32Array[]): boolean {
  return ids.every((id) => id.length > 0) && new Set(ids.map((id) => id.join())).size === ids.length;
}

function singleTokens(tokenizer: Tokenizer, ids: readonly Int32Array[]): boolean {
  return distinct(ids) && ids.every((id) => id.length === 1 && id[0] !== tokenizer.unkId);
}

/**
 * The words for each class: those of the recipe; else the class values, when each is one token; else letters, which are.
 * @param promptTail how prompts end, because it decides how an answer is cut into tokens
 * @throws TritsmithError when two classes would get the same answer
 */
export function chooseLabelWords(
  tokenizer: Tokenizer,
  classes: readonly string[],
  given: Readonly<Record<string, string>>,
  promptTail: string,
): LabelWords {
  const tokenise = (words: readonly string[]): Int32Array[] =>
    words.map((word) => answerTokens(tokenizer, promptTail, word));
  const chosen = classes.map((value) => (Object.hasOwn(given, value) ? given[value]! : null));
  if (chosen.some((word) => word !== null)) {
    const missing = classes.filter((_, index) => chosen[index] === null);
    if (missing.length > 0) throw new TritsmithError('bad-input', 'labels.word-missing', { label: missing[0]! });
    return finish(classes, chosen as string[], tokenise(chosen as string[]));
  }
  const letters = classes.map((_, index) => String.fromCharCode(65 + index));
  const candidates = [
    classes.map((value) => ` ${value}`),
    [...classes],
    ...(classes.length <= 26 ? [letters.map((letter) => ` ${letter}`), letters] : []),
  ];
  const found = candidates.find((words) => singleTokens(tokenizer, tokenise(words))) ?? candidates[0]!;
  return finish(classes, found, tokenise(found));
}

function finish(classes: readonly string[], words: readonly string[], ids: readonly Int32Array[]): LabelWords {
  if (!distinct(ids)) throw new TritsmithError('bad-input', 'labels.same-answer', { words });
  return { classes, words, ids, singleToken: ids.every((id) => id.length === 1) };
}
