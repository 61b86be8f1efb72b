/** A tokenizer with fewer tokens: the files of a folder with ids renumbered. */
import type { Json, JsonObject } from '../../basics/bounded-json.ts';
import { definitionJson, type Tokenizer, type TokenizerDefinition } from '../../formats/tokenizers/index.ts';
import type { Companions } from '../../models/companion-files.ts';

/** New id of an old one; undefined where it was dropped. */
export type Renumbering = ReadonlyMap<number, number>;

export function renumbering(kept: Int32Array): Renumbering {
  return new Map(Array.from(kept, (id, index) => [id, index]));
}

/** Ids inside a post-processor: `TemplateProcessing` has lists `ids`, `RobertaProcessing` pairs of token and id. */
function renumberedProcessor(value: Json, to: Renumbering): Json {
  if (Array.isArray(value)) return value.map((item) => renumberedProcessor(item, to));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]): [string, Json] => {
      if (key === 'ids' && Array.isArray(item)) return [key, item.map((id) => to.get(Number(id)) ?? 0)];
      if ((key === 'sep' || key === 'cls') && Array.isArray(item))
        return [key, [item[0]!, to.get(Number(item[1])) ?? 0]];
      return [key, renumberedProcessor(item, to)];
    }),
  );
}

function prunedDefinition({ definition }: Tokenizer, to: Renumbering): TokenizerDefinition {
  const { model } = definition;
  const vocab = Object.fromEntries(
    Object.entries(model.vocab)
      .filter(([, id]) => to.has(id))
      .map(([token, id]): [string, number] => [token, to.get(id)!])
      .sort(([, a], [, b]) => a - b),
  );
  const has = (token: string): boolean => Object.hasOwn(vocab, token);
  return {
    ...definition,
    addedTokens: definition.addedTokens.map((token) => ({ ...token, id: to.get(token.id)! })),
    postProcessor: renumberedProcessor(definition.postProcessor, to) as JsonObject | null,
    model: {
      ...model,
      vocab,
      merges: model.merges.filter(([left, right]) => has(left) && has(right) && has(left + right)),
    },
  };
}

/** `*_token_id` settings with new ids; a list loses the ids that were dropped. */
function renumberedSettings(config: JsonObject, to: Renumbering, vocabSize: number): JsonObject {
  const id = (value: Json): Json => (typeof value === 'number' ? (to.get(value) ?? null) : value);
  return Object.fromEntries(
    Object.entries(config).map(([key, value]): [string, Json] => {
      if (key === 'vocab_size') return [key, vocabSize];
      if (!key.endsWith('_token_id')) return [key, value];
      return [key, Array.isArray(value) ? value.map(id).filter((item) => item !== null) : id(value)];
    }),
  );
}

function renumberedTokenizerConfig(config: JsonObject, to: Renumbering): JsonObject {
  const decoder = config['added_tokens_decoder'];
  if (decoder === null || typeof decoder !== 'object' || Array.isArray(decoder)) return config;
  const entries = Object.entries(decoder).filter(([id]) => to.has(Number(id)));
  return {
    ...config,
    added_tokens_decoder: Object.fromEntries(entries.map(([id, entry]) => [String(to.get(Number(id))), entry])),
  };
}

/** Files that hold the tokens in another form and would contradict the new tokenizer.json. */
export const obsoleteTokenizerFiles: readonly string[] = [
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'added_tokens.json',
];

/** The files of `source` that name ids, renumbered, by file name; `tokenizer.json` is always among them. */
export async function prunedTokenizerFiles(
  source: Companions,
  tokenizer: Tokenizer,
  kept: Int32Array,
): Promise<Record<string, string>> {
  const to = renumbering(kept);
  const files: Record<string, JsonObject> = { 'tokenizer.json': definitionJson(prunedDefinition(tokenizer, to)) };
  if (source.names.has('tokenizer_config.json'))
    files['tokenizer_config.json'] = renumberedTokenizerConfig(await source.settings('tokenizer_config.json'), to);
  for (const name of ['config.json', 'generation_config.json']) {
    if (source.names.has(name)) files[name] = renumberedSettings(await source.settings(name), to, kept.length);
  }
  return Object.fromEntries(Object.entries(files).map(([name, json]) => [name, `${JSON.stringify(json, null, 1)}\n`]));
}
