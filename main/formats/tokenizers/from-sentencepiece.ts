/** The tokenizer definition that splits text as a SentencePiece model does (Llama 2, Mistral, Gemma without a `tokenizer.json`). */
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { type Json, type JsonObject, ownValue, readBoundedFile } from '../../basics/bounded-json.ts';
import { checkDefinition, type TokenizerDefinition } from './definition.ts';
import { extraSpacesPattern } from './known-patterns.ts';
import { parseSentencePieceModel, type Piece, pieceType, type SentencePieceModel } from './sentencepiece-model.ts';
import type { SpecialTokens } from './tokenizer.ts';
import { addedTokens } from './vocab-and-merges.ts';

const largestFile = 256 * 1024 * 1024;
/** Published models stop at 16 to 48 characters. */
const longestPiece = 256;

const unsupported = (file: string, reason: string) =>
  new TritsmithError('unsupported', 'sentencepiece.unsupported', { file, reason });

/**
 * Pairs that merge into a piece. SentencePiece always merges the two neighbours whose joint piece has the highest score, so every
 * way to cut a piece into two pieces is a merge, in the order of the scores.
 */
function mergesOf(pieces: readonly Piece[], vocab: ReadonlyMap<string, number>): [string, string][] {
  const merges: { left: string; right: string; score: number }[] = [];
  for (const { text, score, type } of pieces) {
    if (type !== pieceType.normal && type !== pieceType.unused) continue;
    const characters = Array.from(text);
    let left = '';
    for (const character of characters.slice(0, -1)) {
      left += character;
      const right = text.slice(left.length);
      if (vocab.has(left) && vocab.has(right)) merges.push({ left, right, score });
    }
  }
  return merges.sort((a, b) => b.score - a.score).map(({ left, right }) => [left, right]);
}

function checkKind(file: string, model: SentencePieceModel): void {
  if (model.kind !== 'bpe') throw unsupported(file, `It is a ${model.kind} model, not BPE.`);
  if (model.hasCharacterMap) throw unsupported(file, 'It rewrites characters before splitting.');
  if (model.spacesAtEnd) throw unsupported(file, 'It puts the mark of a space behind words.');
}

function damaged(file: string, reason: string): TritsmithError {
  return new TritsmithError('damaged', 'sentencepiece.unusable', { file, reason });
}

/** The pieces and flags that split text as SentencePiece does. */
export interface PieceRules {
  /** By id; an id may be missing. */
  readonly pieces: readonly Piece[];
  readonly byteFallback: boolean;
  readonly dummyPrefix: boolean;
  readonly removeExtraSpaces: boolean;
  readonly unknownId: number | null;
  /** Ids that are put before and behind a text. */
  readonly before: number | null;
  readonly after: number | null;
}

function normalizers(model: PieceRules): JsonObject {
  const replace = (pattern: JsonObject, content: string): JsonObject => ({ type: 'Replace', pattern, content });
  return {
    type: 'Sequence',
    normalizers: [
      ...(model.removeExtraSpaces ? [replace({ Regex: extraSpacesPattern }, '')] : []),
      ...(model.dummyPrefix ? [{ type: 'Prepend', prepend: '▁' }] : []),
      replace({ String: ' ' }, '▁'),
    ],
  };
}

function decoder(model: PieceRules): JsonObject {
  return {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      ...(model.dummyPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
    ],
  };
}

function postProcessor({ pieces, before, after }: PieceRules): JsonObject | null {
  const special = (id: number | null): Json[] =>
    id === null ? [] : [{ SpecialToken: { id: pieces[id]!.text, type_id: 0 } }];
  const single: Json[] = [...special(before), { Sequence: { id: 'A', type_id: 0 } }, ...special(after)];
  const around = [before, after].filter((id) => id !== null);
  const specialTokens = Object.fromEntries(
    around.map((id): [string, Json] => [
      pieces[id]!.text,
      { id: pieces[id]!.text, ids: [id], tokens: [pieces[id]!.text] },
    ]),
  );
  return single.length === 1 ? null : { type: 'TemplateProcessing', single, pair: [], special_tokens: specialTokens };
}

/** The pieces that are found in a text as a whole. */
function wholePieces(pieces: readonly Piece[]): JsonObject[] {
  const types: readonly number[] = [pieceType.control, pieceType.unknown, pieceType.userDefined];
  return pieces.flatMap(({ text, type }, id) =>
    types.includes(type) ? [{ id, content: text, special: type !== pieceType.userDefined, normalized: false }] : [],
  );
}

/**
 * The definition of a vocabulary of pieces; `source` names it in errors.
 * @param more added tokens that are no pieces
 * @param merges pairs that merge, where they are not simply all ways to cut a piece
 * @throws TritsmithError `damaged`
 */
export function definitionOfPieces(
  source: string,
  rules: PieceRules,
  more: readonly Json[] = [],
  merges?: readonly (readonly [string, string])[],
): TokenizerDefinition {
  const { pieces } = rules;
  const long = pieces.find(({ text }) => text.length > longestPiece);
  if (long) throw damaged(source, `It has a token of ${long.text.length} characters.`);
  const vocab = new Map<string, number>();
  pieces.forEach(({ text }, id) => {
    if (vocab.has(text)) throw damaged(source, 'Two of its tokens have the same text.');
    vocab.set(text, id);
  });
  const definition = checkDefinition(source, {
    added_tokens: [...wholePieces(pieces), ...more],
    normalizer: normalizers(rules),
    pre_tokenizer: null,
    post_processor: postProcessor(rules),
    decoder: decoder(rules),
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(vocab),
      merges: (merges ?? mergesOf(pieces, vocab)).map(([left, right]) => [left, right]),
      unk_token: rules.unknownId === null ? null : pieces[rules.unknownId]!.text,
      fuse_unk: true,
      byte_fallback: rules.byteFallback,
    },
  });
  return { ...definition, scores: pieces.map(({ score }) => score), tokenTypes: pieces.map(({ type }) => type) };
}

/**
 * Builds the definition from `<folder>/tokenizer.model`, with scores and token types; `special` holds the model's own special tokens.
 * @throws TritsmithError `damaged`, `unsupported` (unigram models, models that rewrite characters)
 */
export async function definitionFromSentencePiece(
  folder: string,
  config: JsonObject,
  specialMap: JsonObject,
): Promise<{ definition: TokenizerDefinition; special: SpecialTokens }> {
  const file = path.join(folder, 'tokenizer.model');
  const model = parseSentencePieceModel(file, await readBoundedFile(file, largestFile));
  checkKind(file, model);
  const { bosId, eosId, padId, unknownId } = model;
  const rules: PieceRules = {
    ...model,
    before: ownValue(config, 'add_bos_token') === false ? null : bosId,
    after: ownValue(config, 'add_eos_token') === true ? eosId : null,
  };
  const ids = Object.fromEntries(model.pieces.map(({ text }, id) => [text, id]));
  const known = new Set(wholePieces(model.pieces).map(({ content }) => content));
  const more = (await addedTokens(folder, config, specialMap, ids)).filter(
    (token) => !known.has((token as JsonObject)['content']),
  );
  return {
    definition: definitionOfPieces(file, rules, more),
    special: { bos: bosId, eos: eosId, pad: padId, unk: unknownId },
  };
}
