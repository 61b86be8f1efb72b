/** The tokenizer inside a GGUF file: the `tokenizer.ggml.*` keys turned back into a definition. */
import { TritsmithError } from '../../contract/errors.ts';
import type { Json, JsonObject } from '../../basics/bounded-json.ts';
import { checkDefinition, type TokenizerDefinition } from '../tokenizers/definition.ts';
import { definitionOfPieces } from '../tokenizers/from-sentencepiece.ts';
import { gpt4oPattern, llama3Pattern, qwen2Pattern, tekkenPattern } from '../tokenizers/known-patterns.ts';
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

interface Family {
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject;
  /** A piece that is a token as a whole is not merged. */
  readonly ignoreMerges: boolean;
  /** Whether the begin token comes first where the file does not say. */
  readonly addsBegin: boolean;
}

const plain = { normalizer: null, ignoreMerges: false, addsBegin: false };
const whole = { normalizer: null, ignoreMerges: true, addsBegin: true };
const gpt2: Family = { ...plain, preTokenizer: byteLevel(true) };
const digits: Family = {
  ...plain,
  preTokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)] },
};
const qwen2: Family = { ...plain, normalizer: { type: 'NFC' }, preTokenizer: split(qwen2Pattern) };
const llama3: Family = { ...whole, preTokenizer: split(llama3Pattern) };
const cl100k: Family = { ...plain, preTokenizer: split(llama3Pattern) };
const gpt4o: Family = { ...plain, preTokenizer: split(gpt4oPattern) };

/** How the families that `tokenizer.ggml.pre` names split text, as llama.cpp has them (llama-vocab.cpp). */
const families: Readonly<Record<string, Family>> = {
  'gpt-2': gpt2,
  'phi-2': gpt2,
  olmo: gpt2,
  'granite-docling': gpt2,
  smollm: digits,
  refact: digits,
  starcoder: digits,
  'minerva-7b': digits,
  qwen2,
  'deepseek-r1-qwen': qwen2,
  'llama-bpe': llama3,
  llama3,
  'llama-v3': llama3,
  falcon3: llama3,
  dbrx: cl100k,
  'smaug-bpe': cl100k,
  tekken: { ...whole, preTokenizer: split(tekkenPattern) },
  'gpt-4o': gpt4o,
  llama4: gpt4o,
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

/** Where a SentencePiece vocabulary has its special tokens when the file does not say (llama.cpp's defaults, those of Llama 2). */
const llamaIds: Readonly<Record<string, number>> = { bos: 1, eos: 2, unknown: 0 };

function tokenId(metadata: GgufMetadata, kind: string, tokens: readonly string[]): number | null {
  const otherwise = single(metadata, 'tokenizer.ggml.model') === 'llama' ? (llamaIds[kind] ?? null) : null;
  const value = single(metadata, `tokenizer.ggml.${kind}_token_id`) ?? otherwise;
  return typeof value === 'number' && tokens[value] !== undefined ? value : null;
}

/** A byte-level vocabulary (`tokenizer.ggml.model = gpt2`): pairs merge by rank. */
function byteLevelDefinition(
  path: string,
  metadata: GgufMetadata,
  tokens: readonly string[],
  family: Family,
): TokenizerDefinition {
  const types = list<number>(metadata, 'token_type');
  const vocab = Object.create(null) as Record<string, Json>;
  const added: Json[] = [];
  tokens.forEach((content, id) => {
    if (types[id] === pieceType.unused) return;
    if (types[id] === pieceType.control || types[id] === pieceType.userDefined)
      added.push({ id, content, special: types[id] === pieceType.control, normalized: false });
    // Added tokens too: where one stands amid the vocabulary, the `tokenizers` library would otherwise give it the next id at the end.
    vocab[content] = id;
  });
  const asked = (kind: string, otherwise: boolean): number[] => {
    const adds = (single(metadata, `tokenizer.ggml.add_${kind}_token`) ?? otherwise) === true;
    const id = adds ? tokenId(metadata, kind, tokens) : null;
    return id === null ? [] : [id];
  };
  const [before, after] = [asked('bos', family.addsBegin), asked('eos', false)];
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

/** BitNet b1.58 2B4T is published without the key; its vocabulary is Llama 3's. */
function unnamed(metadata: GgufMetadata, { length }: readonly string[]): string | undefined {
  const architecture = String(metadata.get('general.architecture')?.value);
  return length === 128_256 && ['bitnet-b1.58', 'bitnet-25'].includes(architecture) ? 'llama-bpe' : undefined;
}

function definitionIn(path: string, metadata: GgufMetadata, tokens: readonly string[]): TokenizerDefinition | null {
  const model = single(metadata, 'tokenizer.ggml.model');
  if (model === 'llama') return piecesDefinition(path, metadata, tokens);
  const pre = single(metadata, 'tokenizer.ggml.pre') ?? unnamed(metadata, tokens);
  if (model !== 'gpt2' || typeof pre !== 'string' || !Object.hasOwn(families, pre)) return null;
  return byteLevelDefinition(path, metadata, tokens, families[pre]!);
}

/**
 * The tokenizer in the metadata of a GGUF file: byte-level vocabularies of the families above and SentencePiece (Llama 2, Mistral, Gemma).
 * @param path names the file in errors
 * @throws TritsmithError `unsupported` for other ways of splitting, `not-found` where there is none, `damaged`
 */
export function tokenizerOfMetadata(path: string, metadata: GgufMetadata): Tokenizer {
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

/** The tokenizer of a GGUF file. @throws TritsmithError as `tokenizerOfMetadata` and `openGguf` */
export async function embeddedTokenizer(path: string): Promise<Tokenizer> {
  const file = await openGguf(path);
  await file.close();
  return tokenizerOfMetadata(path, file.metadata);
}
