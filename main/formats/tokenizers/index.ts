/** Tokenizers of Hugging Face folders, and prompt templates. */
export { loadTokenizer } from './load.ts';
export { compileTemplate } from './prompt-template.ts';
export type { Tokenizer } from './tokenizer.ts';
