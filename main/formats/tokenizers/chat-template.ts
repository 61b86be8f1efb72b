/** The chat template that a model was trained with. */
import { TritsmithError } from '../../contract/errors.ts';
import { compileJinja } from './jinja.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

const longestChat = 16 * 1024 * 1024;

/**
 * Renders messages with the tokenizer's chat template; with `addGenerationPrompt` (default true) the text ends where the
 * assistant begins to speak. Encode the result with `addSpecialTokens: false`: the template writes the special tokens itself.
 * @throws TritsmithError `unsupported` (the model has no chat template), `bad-input` (the template refuses these messages)
 */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: { addGenerationPrompt?: boolean } = {},
): string {
  if (tokenizer.chatTemplate === null) throw new TritsmithError('unsupported', 'template.none');
  const token = (id: number | null) => (id === null ? '' : (tokenizer.idToToken(id) ?? ''));
  return compileJinja(
    'The chat template',
    tokenizer.chatTemplate,
    longestChat,
  )({
    messages: messages.map(({ role, content }) => ({ role, content })),
    add_generation_prompt: options.addGenerationPrompt ?? true,
    bos_token: token(tokenizer.bosId),
    eos_token: token(tokenizer.eosId),
    unk_token: token(tokenizer.unkId),
    pad_token: token(tokenizer.padId),
  });
}
