/** The words with which a model answers a classification prompt. */
import { TritsmithError } from '../../contract/errors.ts';
import type { TaskSettings } from '../../contract/recipe.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';
import { answerTokens } from './answer-tokens.ts';

/** Beyond so many values a column is taken for free text. */
export const mostClasses = 1000;

export interface LabelWords {
  /** Class values in the order of their index. */
  readonly classes: readonly string[];
  readonly words: readonly string[];
  /** Response tokens per class, with the end token where they need one. */
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

/** The first two answers of which one begins the other; null: none does. */
function beginning(ids: readonly Int32Array[]): readonly [number, number] | null {
  const order = ids.map((id, index) => ({
    tokens: [...id].map((token) => token.toString(36).padStart(7, '0')).join(),
    index,
  }));
  order.sort((a, b) => (a.tokens < b.tokens ? -1 : 1));
  for (let at = 1; at < order.length; at += 1)
    if (`${order[at]!.tokens},`.startsWith(`${order[at - 1]!.tokens},`))
      return [order[at - 1]!.index, order[at]!.index];
  return null;
}

/**
 * The words for each class: those of the recipe; else the class values, when each is one token; else letters, which are.
 * A class whose tokens begin another one's could never lose: its score has no factor for the tokens that the other one adds. So words are chosen of which
 * none begins another, and where there are none, every answer ends with the end token, in training and wherever scores are made.
 * @param settings `rules` absent: as version 0.1, which had no end tokens
 * @param promptTail how prompts end, because it decides how an answer is cut into tokens
 * @throws TritsmithError when two classes would get the same answer, or one begins another and the tokenizer has no end token
 */
export function chooseLabelWords(
  tokenizer: Tokenizer,
  classes: readonly string[],
  { labelWords: given = {}, rules }: Partial<Pick<TaskSettings, 'labelWords' | 'rules'>>,
  promptTail: string,
): LabelWords {
  const tokenise = (words: readonly string[]): Int32Array[] =>
    words.map((word) => answerTokens(tokenizer, promptTail, word));
  const endId = rules === undefined ? undefined : tokenizer.eosId;
  const chosen = classes.map((value) => (Object.hasOwn(given, value) ? given[value]! : null));
  if (chosen.some((word) => word !== null)) {
    const missing = classes.filter((_, index) => chosen[index] === null);
    if (missing.length > 0) throw new TritsmithError('bad-input', 'labels.word-missing', { label: missing[0]! });
    return finish(classes, chosen as string[], tokenise(chosen as string[]), endId);
  }
  const letters = classes.map((_, index) => String.fromCharCode(65 + index));
  const candidates = [
    classes.map((value) => ` ${value}`),
    [...classes],
    ...(classes.length <= 26 ? [letters.map((letter) => ` ${letter}`), letters] : []),
  ];
  const fair = (words: readonly string[]): boolean => {
    const ids = tokenise(words);
    return distinct(ids) && beginning(ids) === null;
  };
  const found =
    candidates.find((words) => singleTokens(tokenizer, tokenise(words))) ??
    (rules === undefined ? undefined : candidates.find(fair)) ??
    candidates[0]!;
  return finish(classes, found, tokenise(found), endId);
}

/** @param endId what ends answers of which one begins another; null: the tokenizer has none; undefined: they are left as they are */
function finish(
  classes: readonly string[],
  words: readonly string[],
  tokens: readonly Int32Array[],
  endId: number | null | undefined,
): LabelWords {
  if (!distinct(tokens)) throw new TritsmithError('bad-input', 'labels.same-answer', { words });
  const pair = endId === undefined ? null : beginning(tokens);
  if (pair !== null && endId === null)
    throw new TritsmithError('bad-input', 'labels.answers-begin-another', { words: pair.map((at) => words[at]!) });
  const ids = pair === null ? tokens : tokens.map((answer) => Int32Array.of(...answer, endId!));
  return { classes, words, ids, singleToken: ids.every((id) => id.length === 1) };
}
