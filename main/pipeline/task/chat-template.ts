/** Prompts as a chat model is asked: a prompt template made of the model's own chat template. */
import { type Dataset, turnsColumn } from '../../formats/datasets/index.ts';
import type { Tokenizer } from '../../formats/tokenizers/index.ts';

/** A token as a template writes it into a text. */
const written = (tokenizer: Tokenizer, id: number | null): string =>
  JSON.stringify(id === null ? '' : (tokenizer.idToToken(id) ?? ''));

/**
 * The prompt template (Jinja over the columns) that writes a row as the model's chat template does, up to where the answer begins: the
 * turns of a conversation, else the text columns as one turn of the user. It holds the whole chat template, so that a recipe needs
 * nothing else. What the tokenizer puts before every text by itself is not written once more. Null: the model has no chat template.
 */
export function chatTemplateFor(
  tokenizer: Pick<Tokenizer, 'chatTemplate' | 'bosId' | 'eosId' | 'padId' | 'unkId' | 'idToToken' | 'encode'>,
  textColumns: readonly string[],
  chats: Dataset['chats'],
): string | null {
  const { chatTemplate, bosId, eosId, padId, unkId } = tokenizer;
  if (chatTemplate === null) return null;
  const addsBos = bosId !== null && tokenizer.encode('')[0] === bosId;
  const texts = textColumns.map((column) => `row[${JSON.stringify(column)}]`);
  const asked = `[{"role": "user", "content": ${texts.length === 1 ? texts[0]! : `[${texts.join(', ')}] | join("\\n")`}}]`;
  const ofChat = chats?.derived === true && textColumns.length === 1 && textColumns[0] === chats.promptColumn;
  const names = {
    messages: ofChat ? `from_json(row["${turnsColumn}"]) if row["${turnsColumn}"] else ${asked}` : asked,
    add_generation_prompt: 'true',
    tools: 'none',
    documents: 'none',
    bos_token: written(tokenizer as Tokenizer, addsBos ? null : bosId),
    eos_token: written(tokenizer as Tokenizer, eosId),
    pad_token: written(tokenizer as Tokenizer, padId),
    unk_token: written(tokenizer as Tokenizer, unkId),
  };
  const set = Object.entries(names).map(([name, value]) => `{% set ${name} = ${value} %}`);
  return set.join('') + chatTemplate;
}
