/** The tokenizer inside a GGUF file: the `tokenizer.ggml.*` keys turned back into a definition. */
import { TritsmithError } from '../../contract/errors.ts';
import type { Json, JsonObject } from '../../basics/bounded-json.ts';
import { checkDefinition, type TokenizerDefinition } from '../tokenizers/definition.ts';
import { definitionOfPieces } from '../tokenizers/from-sentencepiece.ts';
import { llama3Pattern, qwen2Pattern } from '../tokenizers/known-patterns.ts';
import { pieceType } from '../tokenizers/sentencepiece-model.ts';
import { createTokenizer, type Tokenizer } from '../tokenizers/tokenizer.ts';
import type { GgufMetadata } from './metadata.ts';
import { openGguf } from './reader.ts';

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

/** Puts tokens before and after every text, as `add_bos_token` and `add_eos_token` ask. */
function surround(tokens: readonly string[], before: readonly number[], after: readonly number[]): JsonObject {
  const special = (id: number): JsonObject => ({ SpecialToken: { id: tokens[id]!, type_id: 0 } });
  return {
    type: 'TemplateProcessing',
    single: [...before.map(special), { Sequence: { id: 'A', type_id: 0 } }, ...after.map(special)],
    pair: [],
    special_tokens: Object.fromEntries(
      [...before, ...after].map((id) => [tokens[id]!, { id: tokens[id]!, ids: [id], tokens: [tokens[id]!] }]),
    ),
  };
}

function tokenId(metadata: GgufMetadata, kind: string, tokens: readonly string[]): number | null {
  const value = single(metadata, `tokenizer.ggml.${kind}_token_id`);
  return typeof value === 'number' && tokens[value] !== undefined ? value : null;
}

/** A byte-level vocabulary (`tokenizer.ggml.model = gpt2`): pairs merge by rank. */
function byteLevelDefinition(
  path: string,
  metadata: GgufMetadata,
  tokens: readonly string[],
  family: (typeof families)[string],
): TokenizerDefinition {
  const types = list<number>(metadata, 'token_type');
  const vocab = Object.create(null) as Record<string, Json>;
  const added: Json[] = [];
  tokens.forEach((content, id) => {
    if (types[id] === pieceType.unused) return;
    if (types[id] === pieceType.control || types[id] === pieceType.userDefined)
      added.push({ id, content, special: types[id] === pieceType.control, normalized: false });
    else vocab[content] = id;
  });
  const asked = (kind: string): number[] => {
    const id = single(metadata, `tokenizer.ggml.add_${kind}_token`) === true ? tokenId(metadata, kind, tokens) : null;
    return id === null ? [] : [id];
  };
  const [before, after] = [asked('bos'), asked('eos')];
  return checkDefinition(path, {
    added_tokens: added,
    normalizer: family.normalizer,
    pre_tokenizer: family.preTokenizer,
    post_processor: before.length + after.length > 0 ? surround(tokens, before, after) : byteLevel(false),
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
}

/** SentencePiece (`tokenizer.ggml.model = llama`): the neighbours whose joint piece has the highest score merge; defaults are llama.cpp's. */
function piecesDefinition(path: string, metadata: GgufMetadata, tokens: readonly string[]): TokenizerDefinition {
  const types = list<number>(metadata, 'token_type');
  const scores = list<number>(metadata, 'scores');
  const pairs = list<string>(metadata, 'merges').map((pair) => pair.split(' ') as [string, string]);
  let count = tokens.length;
  while (count > 0 && types[count - 1] === pieceType.unused && tokens[count - 1] === `[PAD${count - 1}]`) count -= 1;
  const asked = (key: string, otherwise: boolean): boolean =>
    (single(metadata, `tokenizer.ggml.${key}`) ?? otherwise) === true;
  const texts = tokens.slice(0, count);
  const pieces = texts.map((text, id) => ({ text, score: scores[id] ?? 0, type: types[id] ?? pieceType.normal }));
  const around = (kind: string, otherwise: boolean): number | null =>
    asked(`add_${kind}_token`, otherwise) ? tokenId(metadata, kind, texts) : null;
  const rules = {
    pieces,
    byteFallback: texts.includes('<0x00>'),
    dummyPrefix: asked('add_space_prefix', true),
    removeExtraSpaces: false,
    unknownId: tokenId(metadata, 'unknown', texts),
    before: around('bos', true),
    after: around('eos', false),
  };
  return definitionOfPieces(path, rules, [], pairs.length > 0 ? pairs : undefined);
}

function definitionIn(path: string, metadata: GgufMetadata, tokens: readonly string[]): TokenizerDefinition | null {
  const model = single(metadata, 'tokenizer.ggml.model');
  if (model === 'llama') return piecesDefinition(path, metadata, tokens);
  const pre = single(metadata, 'tokenizer.ggml.pre');
  if (model !== 'gpt2' || typeof pre !== 'string' || !Object.hasOwn(families, pre)) return null;
  return byteLevelDefinition(path, metadata, tokens, families[pre]!);
}

/**
 * The tokenizer of a GGUF file: byte-level vocabularies (GPT-2, SmolLM, Qwen2/2.5/3, Llama 3) and SentencePiece (Llama 2).
 * @throws TritsmithError `unsupported` for other ways of splitting, `not-found` where the file has none, `damaged`, and what `openGguf` throws
 */
export async function embeddedTokenizer(path: string): Promise<Tokenizer> {
  const file = await openGguf(path);
  await file.close();
  const { metadata } = file;
  const tokens = list<string>(metadata, 'tokens');
  if (tokens.length === 0) throw new TritsmithError('not-found', 'tokenizer.not-in-file', { path });
  const definition = definitionIn(path, metadata, tokens);
  if (definition === null) {
    const [model, pre] = ['model', 'pre'].map((key) => String(single(metadata, `tokenizer.ggml.${key}`)));
    throw new TritsmithError('unsupported', 'tokenizer.unknown-in-file', {
      path,
      model: model!,
      pre: pre!,
      known: Object.keys(families),
    });
  }
  const id = (kind: string): number | null => tokenId(metadata, kind, tokens);
  const template = single(metadata, 'tokenizer.chat_template');
  return createTokenizer(
    path,
    definition,
    { bos: id('bos'), eos: id('eos'), pad: id('padding'), unk: id('unknown') },
    typeof template === 'string' ? template : null,
  );
}
