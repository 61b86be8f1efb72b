/** The `tokenizer.ggml.*` keys: what llama.cpp and bitnet.cpp need to split text as the model's own tokenizer does. */
import { tell, type Told } from '../../contract/messages/told.ts';
import { TritsmithError } from '../../contract/errors.ts';
import type { JsonObject } from '../../basics/bounded-json.ts';
import type { TokenizerDefinition } from '../tokenizers/definition.ts';
import { gpt4oPattern, llama3Pattern, qwen2Pattern, tekkenPattern } from '../tokenizers/known-patterns.ts';
import { loadTokenizer } from '../tokenizers/load.ts';
import type { Tokenizer } from '../tokenizers/tokenizer.ts';
import { bool, float32s, type GgufValue, int32s, string, strings, uint32 } from './metadata.ts';

/** Token types of llama.cpp. */
const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface TokenizerMetadata {
  readonly entries: ReadonlyMap<string, GgufValue>;
  /** Where other programs may split text otherwise than the model's tokenizer; empty for the known families. */
  readonly warnings: readonly Told[];
}

const unknown = (what: string) => new TritsmithError('unsupported', 'tokenizer.not-for-gguf', { reason: what });

function steps(part: JsonObject | null, list: string): JsonObject[] {
  if (part === null) return [];
  return part['type'] === 'Sequence' ? (part[list] as JsonObject[]).flatMap((step) => steps(step, list)) : [part];
}

/** Name of the pre-tokenizer for `tokenizer.ggml.pre`, or null when it is none that llama.cpp has. */
function byteLevelFamily(definition: TokenizerDefinition): string | null {
  const [first, second, ...more] = steps(definition.preTokenizer, 'pretokenizers');
  const splitting = (step: JsonObject | undefined) => step?.['type'] === 'ByteLevel' && step['use_regex'] !== false;
  const plain = (step: JsonObject | undefined) => step?.['type'] === 'ByteLevel' && step['use_regex'] === false;
  if (more.length > 0) return null;
  if (splitting(first) && second === undefined) return 'gpt-2';
  if (first?.['type'] === 'Digits' && first['individual_digits'] === true && splitting(second)) return 'smollm';
  if (first?.['type'] !== 'Split' || first['invert'] === true || !plain(second)) return null;
  const pattern = (first['pattern'] as JsonObject | undefined)?.['Regex'];
  switch (pattern) {
    case qwen2Pattern:
      return 'qwen2';
    case llama3Pattern:
      // llama.cpp has this split under two names, with and without merging what is a token as a whole.
      return definition.model.ignoreMerges ? 'llama-bpe' : 'smaug-bpe';
    case tekkenPattern:
      return definition.model.ignoreMerges ? 'tekken' : null;
    case gpt4oPattern:
      return 'gpt-4o';
    default:
      return null;
  }
}

/** Whether spaces become "▁" (SentencePiece), and whether one is put before the text. */
function metaspace(definition: TokenizerDefinition): { prefix: boolean } | null {
  const normalizers = steps(definition.normalizer, 'normalizers');
  const preTokenizers = steps(definition.preTokenizer, 'pretokenizers');
  if (preTokenizers.length === 1 && preTokenizers[0]!['type'] === 'Metaspace' && normalizers.length === 0)
    return { prefix: preTokenizers[0]!['prepend_scheme'] !== 'never' };
  const atSpaces = (step: JsonObject): boolean => (step['pattern'] as JsonObject | undefined)?.['String'] === ' ';
  const replaces = normalizers.some((step) => step['type'] === 'Replace' && step['content'] === '▁' && atSpaces(step));
  // Gemma splits at spaces where none is left: that is no split.
  if (!preTokenizers.every((step) => replaces && step['type'] === 'Split' && atSpaces(step))) return null;
  const prepends = normalizers.some((step) => step['type'] === 'Prepend' && step['prepend'] === '▁');
  return replaces && normalizers.length === (prepends ? 2 : 1) ? { prefix: prepends } : null;
}

function tokenList(tokenizer: Tokenizer, vocabSize: number): { tokens: string[]; types: number[] } {
  const added = new Map(tokenizer.definition.addedTokens.map((token) => [token.id, token]));
  const tokens: string[] = [];
  const types: number[] = [];
  for (let id = 0; id < vocabSize; id++) {
    const token = tokenizer.idToToken(id);
    tokens.push(token ?? `[PAD${id}]`);
    const stated = tokenizer.definition.tokenTypes?.[id];
    if (token === null) types.push(tokenType.unused);
    else if (stated !== undefined) types.push(stated);
    else if (id === tokenizer.unkId && metaspace(tokenizer.definition)) types.push(tokenType.unknown);
    else if (added.has(id)) types.push(added.get(id)!.special ? tokenType.control : tokenType.userDefined);
    else if (tokenizer.definition.model.byteFallback && /^<0x[0-9A-F]{2}>$/.test(token)) types.push(tokenType.byte);
    else types.push(tokenType.normal);
  }
  return { tokens, types };
}

/**
 * Scores in whose order llama.cpp merges: SentencePiece's own, or minus the rank of the first merge that makes the token; tokens that no
 * merge makes come last.
 */
function mergeScores(definition: TokenizerDefinition, tokens: readonly string[]): number[] {
  if (definition.scores) return tokens.map((_, id) => definition.scores![id] ?? 0);
  const { merges } = definition.model;
  const rank = new Map<string, number>();
  merges.forEach(([left, right], i) => {
    if (!rank.has(left + right)) rank.set(left + right, i + 1);
  });
  return tokens.map((token) => -(rank.get(token) ?? merges.length + 1));
}

/** Pairs that llama.cpp, which knows scores of tokens alone, merges although the tokenizer does not, or in another order. */
function pairsMergedOtherwise({ model, scores, addedTokens }: TokenizerDefinition): number {
  if (scores) return 0;
  const { vocab, merges } = model;
  let found = 0;
  const made = new Set<string>();
  let last = '';
  for (const [left, right] of merges) {
    const token = left + right;
    if (token !== last && made.has(token)) found++;
    made.add((last = token));
  }
  const known = new Set(merges.map((pair) => pair.join(' ')));
  const whole = new Set(addedTokens.map(({ content }) => content));
  for (const token of Object.keys(vocab)) {
    if (whole.has(token)) continue;
    const characters = [...token];
    for (let cut = 1; cut < characters.length; cut++) {
      const [left, right] = [characters.slice(0, cut).join(''), characters.slice(cut).join('')];
      if (Object.hasOwn(vocab, left) && Object.hasOwn(vocab, right) && !known.has(`${left} ${right}`)) found++;
    }
  }
  return found;
}

function sentencePieceWarnings(definition: TokenizerDefinition, otherPairs: number): Told[] {
  const warnings: Told[] = [];
  if (!Object.hasOwn(definition.model.vocab, '<0x00>')) warnings.push(tell('note.no-byte-tokens'));
  if (otherPairs > 0) warnings.push(tell('note.pairs-merged-otherwise', { pairs: otherPairs }));
  if (steps(definition.preTokenizer, 'pretokenizers')[0]?.['prepend_scheme'] === 'first')
    warnings.push(tell('note.space-after-special-tokens'));
  return warnings;
}

/** What the tokenizer puts before and after a text. GGUF has a place for the begin and the end token alone. */
function tokensAround(tokenizer: Tokenizer): { bos: boolean; eos: boolean; warnings: Told[] } {
  const { bosId, eosId } = tokenizer;
  const [bare, whole] = [false, true].map((addSpecialTokens) => tokenizer.encode('a', { addSpecialTokens }));
  const bos = bosId !== null && whole![0] === bosId;
  const eos = eosId !== null && whole!.at(-1) === eosId;
  const warnings: Told[] = [];
  const stored = [...(bos ? [bosId] : []), ...bare!, ...(eos ? [eosId] : [])];
  if (stored.join() !== whole!.join()) {
    const names = whole!.filter((id) => !stored.includes(id)).map((id) => tokenizer.idToToken(id) ?? String(id));
    warnings.push(tell('note.tokens-around-text', { tokens: names }));
  }
  if (eos) warnings.push(tell('note.end-token-after-text', { token: tokenizer.idToToken(eosId) ?? String(eosId) }));
  return { bos, eos, warnings };
}

/**
 * The keys of a tokenizer, for a file whose embedding has `vocabSize` rows (default: as many as the tokenizer has ids); ids without
 * a token become unused `[PADn]` tokens.
 * @throws TritsmithError `unsupported` when the way of splitting is not one that GGUF readers know: a wrong `tokenizer.ggml.pre` would give
 * wrong ids without an error; `bad-input` (`vocabSize` too small), and what `loadTokenizer` throws
 */
export async function tokenizerMetadata(source: string | Tokenizer, vocabSize?: number): Promise<TokenizerMetadata> {
  const tokenizer = typeof source === 'string' ? await loadTokenizer(source) : source;
  const { definition } = tokenizer;
  const size = vocabSize ?? tokenizer.vocabSize;
  if (size < tokenizer.vocabSize)
    throw new TritsmithError('bad-input', 'tokenizer.more-ids-than-model', { ids: tokenizer.vocabSize, size });
  const { tokens, types } = tokenList(tokenizer, size);
  const entries = new Map<string, GgufValue>();
  const warnings: Told[] = [];
  const family = byteLevelFamily(definition);
  const spaces = family === null ? metaspace(definition) : null;
  const otherPairs = spaces === null ? 0 : pairsMergedOtherwise(definition);
  if (family !== null) {
    const normalizers = steps(definition.normalizer, 'normalizers');
    if (normalizers.some((step) => step['type'] !== 'NFC'))
      throw unknown(
        `Its normalizer (${normalizers.map((step) => String(step['type'])).join(', ')}) has no equivalent.`,
      );
    entries.set('tokenizer.ggml.model', string('gpt2'));
    entries.set('tokenizer.ggml.pre', string(family));
  } else if (spaces !== null) {
    entries.set('tokenizer.ggml.model', string('llama'));
    entries.set('tokenizer.ggml.pre', string('default'));
    warnings.push(...sentencePieceWarnings(definition, otherPairs));
  } else throw unknown(`Its pre-tokenizer is ${JSON.stringify(definition.preTokenizer).slice(0, 300)}.`);
  entries.set('tokenizer.ggml.tokens', strings(tokens));
  if (spaces !== null) entries.set('tokenizer.ggml.scores', float32s(mergeScores(definition, tokens)));
  entries.set('tokenizer.ggml.token_type', int32s(types));
  // Where scores do not say all, our own reader takes the pairs; llama.cpp reads them for byte-level vocabularies alone.
  if (family !== null || otherPairs > 0)
    entries.set('tokenizer.ggml.merges', strings(definition.model.merges.map((pair) => pair.join(' '))));
  for (const [key, id] of [
    ['bos', tokenizer.bosId],
    ['eos', tokenizer.eosId],
    ['unknown', tokenizer.unkId],
    ['padding', tokenizer.padId],
  ] as const)
    if (id !== null) entries.set(`tokenizer.ggml.${key}_token_id`, uint32(id));
  const around = tokensAround(tokenizer);
  entries.set('tokenizer.ggml.add_bos_token', bool(around.bos));
  entries.set('tokenizer.ggml.add_eos_token', bool(around.eos));
  warnings.push(...around.warnings);
  if (spaces !== null) entries.set('tokenizer.ggml.add_space_prefix', bool(spaces.prefix));
  if (tokenizer.chatTemplate !== null) entries.set('tokenizer.chat_template', string(tokenizer.chatTemplate));
  return { entries, warnings };
}
