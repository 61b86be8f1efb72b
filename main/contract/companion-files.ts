/** Tokenizer and licence files, which travel with a model besides its weights and configuration. */
export const companionFiles: readonly string[] = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
  'LICENSE',
];
