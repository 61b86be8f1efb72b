/** The tokenizer definition that splits text as a SentencePiece model does (Llama 2, Mistral, Gemma without a `tokenizer.json`). */
import path from 'node:path';
import { TritsmithError } from '../../contract/errors.ts';
import { ownValue, readBoundedFile } from '../bounded-json.ts';
import type { Json, JsonObject } from '../bounded-json.ts';
import { checkDefinition } from './definition.ts';
import type { TokenizerDefinition } from './definition.ts';
import { extraSpacesPattern } from './known-patterns.ts';
import { parseSentencePieceModel, pieceType } from './sentencepiece-model.ts';
import type { Piece, SentencePieceModel } from './sentencepiece-model.ts';
import type { SpecialTokens } from './tokenizer.ts';
import { addedTokens } from './vocab-and-merges.ts';

const largestFile = 256 * 1024 * 1024;
/** Published models stop at 16 to 48 characters. */
const longestPiece = 256;

const unsupported = (file: string, reason: string) =>
  new TritsmithError('unsupported', `${file} is of a kind that is not supported.`, {
    reason,
    remedy:
      'Supported are BPE models as Llama 2, Mistral and Gemma have them; else add the tokenizer.json of the model.',
  });

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
  const long = model.pieces.find(({ text }) => text.length > longestPiece);
  if (long)
    throw new TritsmithError('damaged', `${file} can't be used.`, {
      reason: `It has a token of ${long.text.length} characters.`,
      remedy: 'Download the tokenizer files of the model again.',
    });
}

function normalizers(model: SentencePieceModel): JsonObject {
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

function decoder(model: SentencePieceModel): JsonObject {
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

/** What is put around a text: begin-of-text unless the configuration says no, end-of-text where it says so. */
function postProcessor(model: SentencePieceModel, config: JsonObject): JsonObject | null {
  const special = (id: number): JsonObject => ({ SpecialToken: { id: model.pieces[id]!.text, type_id: 0 } });
  const before = model.bosId !== null && ownValue(config, 'add_bos_token') !== false ? [special(model.bosId)] : [];
  const after = model.eosId !== null && ownValue(config, 'add_eos_token') === true ? [special(model.eosId)] : [];
  if (before.length + after.length === 0) return null;
  const single: Json[] = [...before, { Sequence: { id: 'A', type_id: 0 } }, ...after];
  return { type: 'TemplateProcessing', single, pair: [], special_tokens: {} };
}

async function allAddedTokens(
  folder: string,
  model: SentencePieceModel,
  vocab: ReadonlyMap<string, number>,
  config: JsonObject,
  special: JsonObject,
): Promise<Json[]> {
  const own = model.pieces.flatMap(({ text, type }, id): JsonObject[] =>
    type === pieceType.control || type === pieceType.unknown || type === pieceType.userDefined
      ? [{ id, content: text, special: type !== pieceType.userDefined, normalized: false }]
      : [],
  );
  const known = new Set(own.map(({ content }) => content));
  const more = await addedTokens(folder, config, special, Object.fromEntries(vocab));
  return [...own, ...more.filter((token) => !known.has((token as JsonObject)['content'] as string))];
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
  const { pieces } = model;
  const vocab = new Map(pieces.map(({ text }, id) => [text, id]));
  if (vocab.size < pieces.length)
    throw new TritsmithError('damaged', `${file} can't be used.`, {
      reason: 'Two of its tokens have the same text.',
      remedy: 'Download the tokenizer files of the model again.',
    });
  const definition = checkDefinition(file, {
    added_tokens: await allAddedTokens(folder, model, vocab, config, specialMap),
    normalizer: normalizers(model),
    pre_tokenizer: null,
    post_processor: postProcessor(model, config),
    decoder: decoder(model),
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(vocab),
      merges: mergesOf(pieces, vocab),
      unk_token: pieces[model.unknownId]!.text,
      fuse_unk: true,
      byte_fallback: model.byteFallback,
    },
  });
  return {
    definition: {
      ...definition,
      scores: pieces.map(({ score }) => score),
      tokenTypes: pieces.map(({ type }) => type),
    },
    special: { bos: model.bosId, eos: model.eosId, pad: model.padId, unk: model.unknownId },
  };
}
