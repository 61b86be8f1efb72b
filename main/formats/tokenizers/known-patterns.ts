/** Split patterns of published tokenizers. They take linear time; a pattern that is not among them is run under a watchdog. */
import { isJsonObject, type Json } from '../../basics/bounded-json.ts';
import type { TokenizerDefinition } from './definition.ts';

/** Qwen2's split pattern (also in Qwen2.5 and Qwen3): like Llama-3's, but digits one by one. */
export const qwen2Pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

export const llama3Pattern = qwen2Pattern.replace('\\p{N}|', '\\p{N}{1,3}|');

const letters = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const smallLetters = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const words = (end: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${letters}*${smallLetters}+${end}|[^\\r\\n\\p{L}\\p{N}]?${letters}+${smallLetters}*${end}`;
const signsAndSpaces = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** Mistral's Tekken: capitals begin a word of their own, digits one by one. */
export const tekkenPattern = `${words('')}|\\p{N}|${signsAndSpaces}`;

/** o200k of GPT-4o (also Phi-4-mini, Llama 4): as Tekken, with English endings and up to three digits. */
export const gpt4oPattern = `${words("(?i:'s|'t|'re|'ve|'m|'ll|'d)?")}|\\p{N}{1,3}|${signsAndSpaces}`;

const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Spaces at both ends and all but one of several, as SentencePiece removes them. */
export const extraSpacesPattern = '^ +| +$| (?= )';

const known: ReadonlySet<string> = new Set([
  qwen2Pattern,
  llama3Pattern,
  tekkenPattern,
  gpt4oPattern,
  gpt2Pattern,
  extraSpacesPattern,
  '\\p{N}',
  '\\p{N}{1,3}',
]);

function patterns(value: Json | undefined): string[] {
  if (Array.isArray(value)) return value.flatMap(patterns);
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === 'Regex' && typeof inner === 'string' ? [inner] : patterns(inner),
  );
}

/** Whether every regular expression of the tokenizer is a known one. */
export function usesKnownPatterns(definition: TokenizerDefinition): boolean {
  const { normalizer, preTokenizer, postProcessor, decoder } = definition;
  return [normalizer, preTokenizer, postProcessor, decoder]
    .flatMap((part) => patterns(part))
    .every((p) => known.has(p));
}
