/**
 * Reads `tokenizer.model`, the protobuf of SentencePiece
 * (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto), as far as splitting text needs it.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { TritsmithError } from '../../contract/errors.ts';
import { largestVocabulary } from './definition.ts';

/** As in the protobuf; GGUF uses the same numbers. */
export const pieceType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

export interface Piece {
  readonly text: string;
  /** BPE: the higher, the earlier it is merged. */
  readonly score: number;
  readonly type: number;
}

export interface SentencePieceModel {
  /** By id. */
  readonly pieces: readonly Piece[];
  readonly kind: 'unigram' | 'bpe' | 'word' | 'char';
  readonly byteFallback: boolean;
  /** Put the "▁" of a space before every text. */
  readonly dummyPrefix: boolean;
  /** Take spaces off both ends and make one of several. */
  readonly removeExtraSpaces: boolean;
  /** Whether texts are rewritten by a table of characters (NFKC and the like). */
  readonly hasCharacterMap: boolean;
  readonly spacesAtEnd: boolean;
  readonly unknownId: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
}

type Visit = (field: number, wire: WireType) => boolean;

/** Calls `visit` for each field; what it does not read is skipped. */
function fields(reader: BinaryReader, visit: Visit): void {
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (!visit(field, wire)) reader.skip(wire, field);
  }
}

const within = (reader: BinaryReader) => new BinaryReader(reader.bytes());

function readPiece(reader: BinaryReader): Piece {
  const piece = { text: '', score: 0, type: 1 };
  fields(reader, (field, wire) => {
    if (field === 1 && wire === WireType.LengthDelimited) piece.text = reader.string();
    else if (field === 2 && wire === WireType.Bit32) piece.score = reader.float();
    else if (field === 3 && wire === WireType.Varint) piece.type = reader.int32();
    else return false;
    return true;
  });
  return piece;
}

/** Numbers of a message by field; `NaN` where there is none. */
function readNumbers(reader: BinaryReader): (field: number, otherwise: number) => number {
  const found = new Map<number, number>();
  fields(reader, (field, wire) => {
    // The length of any other field is all that is asked for.
    if (wire === WireType.Varint) found.set(field, reader.int32());
    else if (wire === WireType.LengthDelimited) found.set(field, reader.bytes().length);
    else return false;
    return true;
  });
  return (field, otherwise) => found.get(field) ?? otherwise;
}

const kinds = [undefined, 'unigram', 'bpe', 'word', 'char'] as const;

const damaged = (file: string, reason: string) =>
  new TritsmithError('damaged', 'sentencepiece.damaged', { file, reason });

function parse(file: string, bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  let trainer = readNumbers(new BinaryReader(new Uint8Array()));
  let normalizer = trainer;
  const reader = new BinaryReader(bytes);
  fields(reader, (field, wire) => {
    if (wire !== WireType.LengthDelimited) return false;
    if (field === 1) pieces.push(readPiece(within(reader)));
    else if (field === 2) trainer = readNumbers(within(reader));
    else if (field === 3) normalizer = readNumbers(within(reader));
    else return false;
    if (pieces.length > largestVocabulary) throw damaged(file, `It has more than ${largestVocabulary} pieces.`);
    return true;
  });
  const kind = kinds[trainer(3, 1)];
  if (kind === undefined) throw damaged(file, 'It is of an unknown kind.');
  const idOf = (field: number, otherwise: number) => {
    const id = trainer(field, otherwise);
    return id >= 0 && id < pieces.length ? id : null;
  };
  const unknownId = pieces.findIndex(({ type }) => type === pieceType.unknown);
  if (unknownId < 0) throw damaged(file, 'It has no token for what is unknown.');
  return {
    pieces,
    kind,
    byteFallback: trainer(35, 0) !== 0,
    dummyPrefix: normalizer(3, 1) !== 0,
    removeExtraSpaces: normalizer(4, 1) !== 0,
    hasCharacterMap: normalizer(2, 0) > 0,
    spacesAtEnd: trainer(24, 0) !== 0,
    unknownId,
    bosId: idOf(41, 1),
    eosId: idOf(42, 2),
    padId: idOf(43, -1),
  };
}

/** @throws TritsmithError `damaged` */
export function parseSentencePieceModel(file: string, bytes: Uint8Array): SentencePieceModel {
  try {
    return parse(file, bytes);
  } catch (thrown) {
    if (thrown instanceof TritsmithError) throw thrown;
    throw damaged(file, String((thrown as Error).message).slice(0, 300));
  }
}
