/** Tokenizers of Hugging Face folders, chat templates and prompt templates. */
export { renderChat } from './chat-template.ts';
export type { ChatMessage } from './chat-template.ts';
export { loadTokenizer } from './load.ts';
export { compileTemplate } from './prompt-template.ts';
export type { Tokenizer } from './tokenizer.ts';
