/** Writes the protobuf of a SentencePiece model: small ones, for tests. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Piece } from './sentencepiece-model.ts';

/** A model of `pieces`; `trainer` and `normalizer` are fields of those messages by number, whole numbers or text. */
export function sentencePieceFile(
  pieces: readonly Piece[],
  trainer: Readonly<Record<number, number>>,
  normalizer: Readonly<Record<number, number | string>>,
): Uint8Array {
  const writer = new BinaryWriter();
  for (const { text, score, type } of pieces)
    writer
      .tag(1, WireType.LengthDelimited)
      .fork()
      .tag(1, WireType.LengthDelimited)
      .string(text)
      .tag(2, WireType.Bit32)
      .float(score)
      .tag(3, WireType.Varint)
      .int32(type)
      .join();
  for (const [field, message] of [
    [2, trainer],
    [3, normalizer],
  ] as const) {
    writer.tag(field, WireType.LengthDelimited).fork();
    for (const [name, value] of Object.entries(message))
      if (typeof value === 'string') writer.tag(Number(name), WireType.LengthDelimited).string(value);
      else writer.tag(Number(name), WireType.Varint).int32(value);
    writer.join();
  }
  return writer.finish();
}

/** All bytes, a few letters, and pieces of "hello"; BPE with byte fallback, as Llama 2 is made. */
export function smallSentencePieceModel(
  trainer: Readonly<Record<number, number>> = {},
  normalizer: Readonly<Record<number, number | string>> = {},
): Uint8Array {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const merged = ['he', 'll', '▁he', '▁hell', '▁hello', '▁', 'h', 'e', 'l', 'o'];
  const pieces: Piece[] = [
    { text: '<unk>', score: 0, type: 2 },
    { text: '<s>', score: 0, type: 3 },
    { text: '</s>', score: 0, type: 3 },
    { text: '<tool>', score: 0, type: 4 },
    ...bytes.map((text) => ({ text, score: 0, type: 6 })),
    ...merged.map((text, i) => ({ text, score: -i, type: 1 })),
  ];
  return sentencePieceFile(
    pieces,
    { 3: 2, 35: 1, 41: 1, 42: 2, 43: -1, ...trainer },
    { 1: 'identity', 3: 1, 4: 0, ...normalizer },
  );
}
