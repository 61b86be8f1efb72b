/** Tokenizers of Hugging Face folders, and prompt templates. */
export { compileChatTemplate } from './chat-template.ts';
export { definitionJson } from './definition-json.ts';
export type { TokenizerDefinition } from './definition.ts';
export { loadTokenizer } from './load.ts';
export { compileTemplate } from './prompt-template.ts';
export type { Tokenizer } from './tokenizer.ts';
