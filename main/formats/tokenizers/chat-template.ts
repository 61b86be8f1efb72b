/** Chats as a model was taught to read them: the Jinja template that comes with its tokenizer. */
import { compileJinja } from './jinja.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Longest rendered chat in characters, as of a prompt. */
const longestChat = 4 * 1024 * 1024;

export interface TemplateMessage {
  readonly role: string;
  readonly content: string;
}

/**
 * Compiles the tokenizer's chat template; null where it has none. The function gives the text of the chat up to where the assistant begins to
 * write; it holds the special tokens already, so encode it with `addSpecialTokens: false`.
 * @throws TritsmithError `bad-input` for syntax errors here; when the function is called, for roles that the template refuses, for too much
 * time, memory or output
 */
export async function compileChatTemplate(
  tokenizer: Tokenizer,
): Promise<((messages: readonly TemplateMessage[]) => Promise<string>) | null> {
  if (tokenizer.chatTemplate === null) return null;
  const render = await compileJinja("The model's chat template", tokenizer.chatTemplate, longestChat);
  const word = (id: number | null): string => (id === null ? '' : (tokenizer.idToToken(id) ?? ''));
  return (messages) =>
    render({
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: true,
      bos_token: word(tokenizer.bosId),
      eos_token: word(tokenizer.eosId),
    });
}
