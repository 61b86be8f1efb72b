/** A tokenizer as data: the content of a `tokenizer.json` (Hugging Face tokenizers, BPE), checked before anything is built from it. */
import { TritsmithError } from '../../contract/errors.ts';
import { isJsonObject, type Json, type JsonObject, ownValue } from '../../basics/bounded-json.ts';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly single_word: boolean;
}

export interface BpeModel {
  /** Own properties only; ids are unique. */
  readonly vocab: Record<string, number>;
  /** In order of rank. */
  readonly merges: readonly (readonly [string, string])[];
  readonly byteFallback: boolean;
  readonly unknownToken: string | null;
  readonly fuseUnknown: boolean;
  readonly ignoreMerges: boolean;
}

export interface TokenizerDefinition {
  readonly model: BpeModel;
  readonly addedTokens: readonly AddedToken[];
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject | null;
  readonly postProcessor: JsonObject | null;
  readonly decoder: JsonObject | null;
  /** Scores of a SentencePiece model by id, where the definition was read from one. */
  readonly scores?: readonly number[];
  /** Token types of a SentencePiece model by id, in the numbers that GGUF uses too: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly tokenTypes?: readonly number[];
}

/** Above every published vocabulary (262 144 of Gemma 3) and far below what would exhaust memory. */
export const largestVocabulary = 4_000_000;

const normalizerTypes = new Set(['Sequence', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Replace', 'Prepend', 'Strip', 'Lowercase']);
const preTokenizerTypes = new Set([
  'Sequence',
  'Split',
  'ByteLevel',
  'Metaspace',
  'Digits',
  'Whitespace',
  'WhitespaceSplit',
  'Punctuation',
]);
const postProcessorTypes = new Set(['Sequence', 'ByteLevel', 'TemplateProcessing', 'RobertaProcessing']);
const decoderTypes = new Set(['Sequence', 'ByteLevel', 'Replace', 'ByteFallback', 'Fuse', 'Strip', 'Metaspace']);

const damaged = (source: string, reason: string) =>
  new TritsmithError('damaged', 'tokenizer.damaged', { source, reason });

const unsupported = (source: string, reason: string) =>
  new TritsmithError('unsupported', 'tokenizer.unsupported', { source, reason });

const mostGrowth = 64;

/** How many times longer than its input a step's output may be. */
function growth(source: string, step: JsonObject): number {
  const type = step['type'];
  if (type !== 'Replace') return 1;
  const content = ownValue(step, 'content') ?? '';
  const pattern = ownValue(step, 'pattern');
  const text = isJsonObject(pattern) ? ownValue(pattern, 'String') : undefined;
  if (typeof content !== 'string' || !isJsonObject(pattern)) throw damaged(source, 'It has a malformed replacement.');
  return typeof text === 'string' && text !== '' ? Math.max(1, content.length / text.length) : 1 + content.length;
}

function checkText(source: string, step: JsonObject): void {
  for (const [name, value] of Object.entries(step)) {
    const texts = isJsonObject(value) ? Object.values(value) : [value];
    for (const text of texts)
      if (typeof text === 'string' && text.length > 4096) throw damaged(source, 'It has a pattern of unusual length.');
    if (['content', 'prepend', 'replacement', 'str_rep'].includes(name) && String(value).length > 64)
      throw damaged(source, 'It has a replacement of unusual length.');
    if (name !== 'normalizers' && Array.isArray(value) && value.length > 64)
      throw damaged(source, `It has a step with a list of ${value.length} parts.`);
  }
}

/** A normalizer, pre-tokenizer, post-processor or decoder with known steps only. */
function checkedSteps(source: string, value: Json | undefined, part: string, known: Set<string>): JsonObject | null {
  if (value === undefined || value === null) return null;
  let steps = 0;
  let longer = 1;
  const visit = (step: Json | undefined): void => {
    if (!isJsonObject(step)) throw damaged(source, `Its ${part} is not an object.`);
    const type = ownValue(step, 'type');
    if (typeof type !== 'string') throw damaged(source, `Its ${part} has no type.`);
    if (!known.has(type))
      throw unsupported(source, `Its ${part} has the unknown step ${JSON.stringify(type.slice(0, 60))}.`);
    if (++steps > 32) throw damaged(source, `Its ${part} has more than 32 steps.`);
    checkText(source, step);
    longer *= growth(source, step);
    if (longer > mostGrowth) throw damaged(source, `Its ${part} makes texts more than ${mostGrowth} times longer.`);
    if (type !== 'Sequence') return;
    const inner = ['normalizers', 'pretokenizers', 'processors', 'decoders'].map((name) => ownValue(step, name));
    const list = inner.find((item) => item !== undefined);
    if (!Array.isArray(list)) throw damaged(source, `A sequence in its ${part} has no steps.`);
    list.forEach(visit);
  };
  visit(value);
  return value as JsonObject;
}

const isId = (value: Json | undefined): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < largestVocabulary;

function checkedAddedTokens(source: string, value: Json | undefined, vocab: Record<string, number>): AddedToken[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw damaged(source, 'Its added tokens are not a list.');
  const owner = new Map<number, string>(Object.entries(vocab).map(([token, id]) => [id, token]));
  const seen = new Set<string>();
  return value.map((entry) => {
    const content = isJsonObject(entry) ? ownValue(entry, 'content') : undefined;
    const id = isJsonObject(entry) ? ownValue(entry, 'id') : undefined;
    if (!isJsonObject(entry) || typeof content !== 'string' || content === '' || content.length > 4096 || !isId(id))
      throw damaged(source, 'One of its added tokens has no text or no id.');
    const inVocabulary = Object.hasOwn(vocab, content) ? vocab[content] : undefined;
    if (seen.has(content) || (owner.has(id) && owner.get(id) !== content) || (inVocabulary ?? id) !== id)
      throw damaged(source, `The added token ${JSON.stringify(content.slice(0, 60))} collides with another token.`);
    seen.add(content);
    owner.set(id, content);
    const flag = (name: string) => ownValue(entry, name) === true;
    return {
      id,
      content,
      special: flag('special'),
      normalized: flag('normalized'),
      lstrip: flag('lstrip'),
      rstrip: flag('rstrip'),
      single_word: flag('single_word'),
    };
  });
}

function checkedVocab(source: string, value: Json | undefined): Record<string, number> {
  if (!isJsonObject(value)) throw damaged(source, 'It has no vocabulary.');
  const ids = new Set<number>();
  for (const [token, id] of Object.entries(value)) {
    if (!isId(id) || ids.has(id))
      throw damaged(source, `The id of token ${JSON.stringify(token.slice(0, 60))} is impossible or taken.`);
    ids.add(id);
  }
  if (ids.size === 0) throw damaged(source, 'Its vocabulary is empty.');
  return value as Record<string, number>;
}

function checkedMerges(source: string, value: Json | undefined, vocab: Record<string, number>): [string, string][] {
  if (!Array.isArray(value)) throw damaged(source, 'It has no merges.');
  return value.map((merge, rank) => {
    const pair = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((part) => typeof part === 'string' && part !== ''))
      throw damaged(source, `Merge ${rank} is not a pair of tokens.`);
    const [left, right] = pair as [string, string];
    for (const token of [left, right, left + right])
      if (!Object.hasOwn(vocab, token))
        throw damaged(
          source,
          `Merge ${rank} uses ${JSON.stringify(token.slice(0, 60))}, which is not in the vocabulary.`,
        );
    return [left, right];
  });
}

/**
 * Checks the content of a `tokenizer.json`; `source` names it in errors.
 * @throws TritsmithError `damaged`, `unsupported` (other models than BPE, unknown steps)
 */
export function checkDefinition(source: string, root: JsonObject): TokenizerDefinition {
  const model = ownValue(root, 'model');
  if (!isJsonObject(model)) throw damaged(source, 'It has no model.');
  const type = ownValue(model, 'type') ?? (ownValue(model, 'merges') ? 'BPE' : null);
  if (type !== 'BPE') throw unsupported(source, `Its model is ${JSON.stringify(type).slice(0, 60)}, not BPE.`);
  for (const name of ['continuing_subword_prefix', 'end_of_word_suffix'])
    if ((ownValue(model, name) ?? '') !== '') throw unsupported(source, `Its model has a ${name}.`);
  const vocab = checkedVocab(source, ownValue(model, 'vocab'));
  const unknown = ownValue(model, 'unk_token') ?? null;
  if (unknown !== null && (typeof unknown !== 'string' || !Object.hasOwn(vocab, unknown)))
    throw damaged(source, 'Its unknown token is not in the vocabulary.');
  return {
    model: {
      vocab,
      merges: checkedMerges(source, ownValue(model, 'merges'), vocab),
      byteFallback: ownValue(model, 'byte_fallback') === true,
      unknownToken: unknown,
      fuseUnknown: ownValue(model, 'fuse_unk') === true,
      ignoreMerges: ownValue(model, 'ignore_merges') === true,
    },
    addedTokens: checkedAddedTokens(source, ownValue(root, 'added_tokens'), vocab),
    normalizer: checkedSteps(source, ownValue(root, 'normalizer'), 'normalizer', normalizerTypes),
    preTokenizer: checkedSteps(source, ownValue(root, 'pre_tokenizer'), 'pre-tokenizer', preTokenizerTypes),
    postProcessor: checkedSteps(source, ownValue(root, 'post_processor'), 'post-processor', postProcessorTypes),
    decoder: checkedSteps(source, ownValue(root, 'decoder'), 'decoder', decoderTypes),
  };
}
