/** The tokenizer inside a GGUF file: the `tokenizer.ggml.*` keys turned back into a definition. */
import { TritsmithError } from '../../contract/errors.ts';
import type { Json, JsonObject } from '../bounded-json.ts';
import { checkDefinition } from '../tokenizers/definition.ts';
import { llama3Pattern, qwen2Pattern } from '../tokenizers/known-patterns.ts';
import { createTokenizer } from '../tokenizers/tokenizer.ts';
import type { Tokenizer } from '../tokenizers/tokenizer.ts';
import type { GgufMetadata } from './metadata.ts';
import { openGguf } from './reader.ts';

/** llama.cpp's types of tokens that are found in a text as a whole, and of those that stand for no text. */
const control = 3;
const userDefined = 4;
const unused = 5;

const byteLevel = (useRegex: boolean): JsonObject => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: false,
  use_regex: useRegex,
});

const split = (pattern: string): JsonObject => ({
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
    byteLevel(false),
  ],
});

/** How the families that `tokenizer.ggml.pre` names split text. */
const families: Record<string, { normalizer: JsonObject | null; preTokenizer: JsonObject; ignoreMerges: boolean }> = {
  'gpt-2': { normalizer: null, preTokenizer: byteLevel(true), ignoreMerges: false },
  smollm: {
    normalizer: null,
    preTokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)] },
    ignoreMerges: false,
  },
  qwen2: { normalizer: { type: 'NFC' }, preTokenizer: split(qwen2Pattern), ignoreMerges: false },
  'llama-bpe': { normalizer: null, preTokenizer: split(llama3Pattern), ignoreMerges: true },
};

function list<Item extends string | number>(metadata: GgufMetadata, key: string): readonly Item[] {
  const entry = metadata.get(`tokenizer.ggml.${key}`);
  return entry?.type === 'array' ? (entry.value as readonly Item[]) : [];
}

function single(metadata: GgufMetadata, key: string): string | number | boolean | null {
  const value = metadata.get(key)?.value;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
}

/** Puts the begin-of-text token before every text, as `add_bos_token` asks. */
function begin(token: string, id: number): JsonObject {
  return {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

/**
 * The tokenizer of a GGUF file, for byte-level vocabularies (GPT-2, SmolLM, Qwen2/2.5/3, Llama 3).
 * @throws TritsmithError `unsupported` for other ways of splitting (SentencePiece: `tokenizer.ggml.model = llama`), `not-found` where the file has
 * none, `damaged`, and what `openGguf` throws
 */
export async function embeddedTokenizer(path: string): Promise<Tokenizer> {
  const file = await openGguf(path);
  await file.close();
  const { metadata } = file;
  const tokens = list<string>(metadata, 'tokens');
  const remedy = 'Name the folder of the model that it was made from as its tokenizer (--tokenizer <folder>).';
  if (tokens.length === 0) throw new TritsmithError('not-found', `${path} holds no tokenizer.`, { remedy });
  const model = single(metadata, 'tokenizer.ggml.model');
  const pre = single(metadata, 'tokenizer.ggml.pre');
  const family = model === 'gpt2' && typeof pre === 'string' && Object.hasOwn(families, pre) ? families[pre]! : null;
  if (family === null)
    throw new TritsmithError('unsupported', `The tokenizer inside ${path} can't be used.`, {
      reason: `It is of kind "${String(model)}", "${String(pre)}"; known are gpt2 with ${Object.keys(families).join(', ')}.`,
      remedy,
    });
  const types = list<number>(metadata, 'token_type');
  const vocab = Object.create(null) as Record<string, Json>;
  const added: Json[] = [];
  tokens.forEach((content, id) => {
    if (types[id] === unused) return;
    if (types[id] === control || types[id] === userDefined)
      added.push({ id, content, special: types[id] === control, normalized: false });
    else vocab[content] = id;
  });
  const id = (kind: string) => {
    const value = single(metadata, `tokenizer.ggml.${kind}_token_id`);
    return typeof value === 'number' && tokens[value] !== undefined ? value : null;
  };
  const bos = id('bos');
  const first = bos !== null && single(metadata, 'tokenizer.ggml.add_bos_token') === true;
  const definition = checkDefinition(path, {
    added_tokens: added,
    normalizer: family.normalizer,
    pre_tokenizer: family.preTokenizer,
    post_processor: first ? begin(tokens[bos]!, bos) : byteLevel(false),
    decoder: byteLevel(true),
    model: {
      type: 'BPE',
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: family.ignoreMerges,
      vocab,
      merges: [...list<string>(metadata, 'merges')],
    },
  });
  const template = single(metadata, 'tokenizer.chat_template');
  return createTokenizer(
    path,
    definition,
    { bos, eos: id('eos'), pad: id('padding'), unk: id('unknown') },
    typeof template === 'string' ? template : null,
  );
}
