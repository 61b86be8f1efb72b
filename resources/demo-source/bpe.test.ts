import { describe, expect, test } from 'vitest';
import { byteAlphabet, tokenizerJson, trainBpe } from './bpe.ts';

describe('byte-level BPE trainer', () => {
  test('merges the most frequent pair first, of equally frequent ones the first in code-unit order', () => {
    // Words: low 5 times, lower 2, newest 6, widest 3 (the example of Sennrich et al. 2016, section 3.2), each on its own line.
    const text = [
      'low',
      'low',
      'low',
      'low',
      'low',
      'lower',
      'lower',
      ...Array(6).fill('newest'),
      ...Array(3).fill('widest'),
    ];
    const { merges } = trainBpe(text, 256 + 6, []);
    expect(merges.map((pair) => pair.join('+'))).toEqual(['e+s', 'es+t', 'l+o', 'lo+w', 'e+w', 'ew+est']);
  });

  test('stops when no pair occurs often enough', () => {
    expect(trainBpe(['ab ab', 'cd'], 400, ['<s>'], 2).vocabulary.size).toBe(257 + 1);
  });

  test("the byte alphabet is GPT-2's: 256 different characters, a space is Ġ, a line feed is Ċ", () => {
    const alphabet = byteAlphabet();
    expect(new Set(alphabet).size).toBe(256);
    expect([alphabet[32], alphabet[10], alphabet[65], alphabet[0]]).toEqual(['Ġ', 'Ċ', 'A', 'Ā']);
  });

  test('ids count up without gaps from the special tokens', () => {
    const bpe = trainBpe(['the cat the cat'], 300, ['<unk>', '<s>']);
    const json = tokenizerJson(bpe) as { added_tokens: { id: number }[]; model: { vocab: Record<string, number> } };
    expect(json.added_tokens.map(({ id }) => id)).toEqual([0, 1]);
    expect(Object.values(json.model.vocab).sort((a, b) => a - b)).toEqual(
      [...bpe.vocabulary.keys()].map((_, id) => id),
    );
  });
});
