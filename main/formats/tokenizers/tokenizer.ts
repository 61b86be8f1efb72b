/** Text to token ids and back, on `@huggingface/tokenizers`. */
import { createHash } from 'node:crypto';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { TritsmithError } from '../../contract/errors.ts';
import { TimeIsUp, withinTime } from '../time-limit.ts';
import { usesKnownPatterns } from './known-patterns.ts';
import { PieceCache } from './piece-cache.ts';
import { joinedPairs, cutAtLines, cutAtUnjoinedPairs } from './safe-cuts.ts';
import type { TokenizerDefinition } from './definition.ts';

export interface Tokenizer {
  /** Largest id + 1, added tokens included; a model's embedding may have more rows. */
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  readonly unkId: number | null;
  readonly chatTemplate: string | null;
  /** Digest of all that decides the ids (vocabulary, merges, added tokens, splitting): equal for the same tokenizer in another folder or file format. */
  readonly sha256: string;
  readonly definition: TokenizerDefinition;
  /**
   * Ids of a text. Special tokens written in the text are recognised. `addSpecialTokens` (default true) adds what the tokenizer
   * puts around a text, such as Llama's begin-of-text; GPT-2 and Qwen add nothing.
   */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** Text of ids, without any clean-up of spaces; ids that no token has are left out. */
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  tokenToId(token: string): number | null;
  idToToken(id: number): string | null;
}

export interface SpecialTokens {
  readonly bos: string | number | null;
  readonly eos: string | number | null;
  readonly pad: string | number | null;
  readonly unk: string | number | null;
}

const cacheEntries = 50_000;

function libraryTokenizer(source: string, definition: TokenizerDefinition): LibraryTokenizer {
  const { model } = definition;
  try {
    return new LibraryTokenizer(
      {
        added_tokens: definition.addedTokens,
        normalizer: definition.normalizer,
        pre_tokenizer: definition.preTokenizer,
        post_processor: definition.postProcessor,
        decoder: definition.decoder,
        model: {
          type: 'BPE',
          vocab: model.vocab,
          merges: model.merges,
          unk_token: model.unknownToken,
          fuse_unk: model.fuseUnknown,
          byte_fallback: model.byteFallback,
          ignore_merges: model.ignoreMerges,
        },
      },
      { clean_up_tokenization_spaces: false },
    );
  } catch (thrown) {
    throw refused(source, thrown);
  }
}

const refused = (source: string, thrown: unknown) =>
  thrown instanceof TimeIsUp
    ? new TritsmithError('bad-input', 'tokenizer.too-slow', { source, limit: thrown.message })
    : new TritsmithError('damaged', 'tokenizer.damaged', { source, reason: (thrown as Error).message.slice(0, 300) });

/** Texts from this length on are watched whatever the tokenizer: the watchdog's half millisecond is nothing beside them. */
const watchedCharacters = 64 * 1024;
/** Hundreds of times what an ordinary tokenizer takes. */
const secondsAllowed = (characters: number) => 5 + characters / 20_000;

function digest(definition: TokenizerDefinition, byId: readonly (string | undefined)[]): string {
  const hash = createHash('sha256');
  const { model } = definition;
  const rules = [definition.normalizer, definition.preTokenizer, model.byteFallback, model.unknownToken];
  hash.update(JSON.stringify([...rules, definition.addedTokens.map(({ id, content }) => [id, content])]));
  byId.forEach((token, id) => hash.update(`\0${id} ${token}`));
  for (const [left, right] of model.merges) hash.update(`\0${left} ${right}`);
  return hash.digest('hex');
}

/** Whether long texts may be cut at line starts: a byte-level split by pattern, and no token that could lie across. */
function cutsAtLines(definition: TokenizerDefinition): boolean {
  const text = JSON.stringify(definition.preTokenizer) ?? '';
  return (
    text.includes('ByteLevel') &&
    /use_regex|\\\\s/.test(text) &&
    !definition.addedTokens.some((t) => t.content.includes('\n'))
  );
}

/**
 * Builds a tokenizer from a checked definition; `source` names it in errors.
 * @throws TritsmithError `damaged` when the parts don't fit together
 */
export function createTokenizer(
  source: string,
  definition: TokenizerDefinition,
  special: SpecialTokens,
  chatTemplate: string | null,
): Tokenizer {
  const library = libraryTokenizer(source, definition);
  Object.assign(library.model!, { cache: new PieceCache(cacheEntries) });
  if (definition.preTokenizer === null && !definition.model.ignoreMerges) {
    const pairs = joinedPairs(Object.keys(definition.model.vocab));
    library.pre_tokenizer = ((text: string) => cutAtUnjoinedPairs(text, pairs)) as unknown as NonNullable<
      LibraryTokenizer['pre_tokenizer']
    >;
  }
  const byId: (string | undefined)[] = [];
  for (const [token, id] of Object.entries(definition.model.vocab)) byId[id] = token;
  for (const { id, content } of definition.addedTokens) byId[id] = content;
  const vocabSize = byId.length;
  const cutLines = cutsAtLines(definition);
  const trusted = usesKnownPatterns(definition);
  const watched = <T>(size: number, work: () => T): T =>
    trusted && size < watchedCharacters ? work() : withinTime(secondsAllowed(size), work);

  const encodeWhole = (text: string, addSpecialTokens: boolean): number[] => {
    const { ids } = watched(text.length, () => library.encode(text, { add_special_tokens: addSpecialTokens }));
    for (const id of ids)
      if (!Number.isInteger(id) || id >= vocabSize) throw new TypeError('it makes ids that its vocabulary lacks');
    return ids;
  };
  const encode = (text: string, addSpecialTokens: boolean): number[] => {
    try {
      if (!cutLines || text.length < 512 * 1024) return encodeWhole(text, addSpecialTokens);
      const pieces = cutAtLines(text)
        .map((piece) => encodeWhole(piece, false))
        .flat();
      if (!addSpecialTokens) return pieces;
      const [bare, around] = [encodeWhole('a', false), encodeWhole('a', true)];
      const before = around.indexOf(bare[0]!);
      return [...around.slice(0, before), ...pieces, ...around.slice(before + bare.length)];
    } catch (thrown) {
      throw refused(source, thrown);
    }
  };
  const idOf = (token: string | number | null): number | null => {
    if (typeof token === 'number') return Number.isInteger(token) && byId[token] !== undefined ? token : null;
    return token === null ? null : (library.token_to_id(token) ?? null);
  };

  for (const sample of ['', 'a', ' The 1st line,\n\tthe second… \u{1F600}']) encode(sample, true);
  const sha256 = digest(definition, byId);
  return {
    vocabSize,
    bosId: idOf(special.bos),
    eosId: idOf(special.eos),
    padId: idOf(special.pad),
    unkId: idOf(special.unk ?? definition.model.unknownToken),
    chatTemplate,
    sha256,
    definition,
    encode: (text, options) => encode(text, options?.addSpecialTokens ?? true),
    decode(ids, options) {
      const known = Array.from(ids).filter((id) => byId[id] !== undefined);
      if (known.length === 0) return '';
      try {
        const decode = () => library.decode(known, { skip_special_tokens: options?.skipSpecialTokens ?? false });
        return watched(known.length, decode);
      } catch (thrown) {
        throw refused(source, thrown);
      }
    },
    tokenToId: (token) => library.token_to_id(token) ?? null,
    idToToken: (id) => byId[id] ?? null,
  };
}
