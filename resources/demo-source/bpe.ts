/** A small byte-level BPE trainer (Sennrich et al. 2016, on bytes as in GPT-2) that writes a Hugging Face `tokenizer.json`. */

/** GPT-2's split of text into words; `tokenizer.ggml.pre` calls it `gpt-2`. */
const words = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's printable stand-ins for the 256 bytes. */
export function byteAlphabet(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}

export interface Bpe {
  /** Token -> id: specials, then the byte alphabet, then one token for each merge. */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  readonly specials: readonly string[];
}

/**
 * Learns merges until the vocabulary has `size` tokens or no pair occurs `minimum` times. The most frequent pair is merged first, of
 * equally frequent ones the first in code-unit order, so that the result depends on the text alone.
 */
export function trainBpe(texts: Iterable<string>, size: number, specials: readonly string[], minimum = 2): Bpe {
  const alphabet = byteAlphabet();
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const [word] of text.matchAll(words)) {
      const bytes = Array.from(Buffer.from(word), (byte) => alphabet[byte]!).join('');
      counts.set(bytes, (counts.get(bytes) ?? 0) + 1);
    }
  const entries = [...counts].map(([word, count]) => ({ symbols: [...word], count }));
  const vocabulary = new Map<string, number>();
  for (const token of [...specials, ...alphabet]) vocabulary.set(token, vocabulary.size);

  const pairCounts = new Map<string, number>();
  const pairWords = new Map<string, Set<number>>();
  const add = (index: number, sign: 1 | -1): void => {
    const { symbols, count } = entries[index]!;
    for (let at = 0; at + 1 < symbols.length; at++) {
      const pair = `${symbols[at]} ${symbols[at + 1]}`;
      pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + sign * count);
      if (sign === 1) {
        const places = pairWords.get(pair);
        if (places) places.add(index);
        else pairWords.set(pair, new Set([index]));
      }
    }
  };
  entries.forEach((_, index) => {
    add(index, 1);
  });

  const merges: [string, string][] = [];
  while (vocabulary.size < size) {
    let best = '';
    let bestCount = minimum - 1;
    for (const [pair, count] of pairCounts)
      if (count > bestCount || (count === bestCount && best !== '' && pair < best)) {
        best = pair;
        bestCount = count;
      }
    if (best === '') break;
    const [left, right] = best.split(' ') as [string, string];
    for (const index of pairWords.get(best)!) {
      add(index, -1);
      entries[index]!.symbols = mergeSymbols(entries[index]!.symbols, left, right);
      add(index, 1);
    }
    pairCounts.delete(best);
    pairWords.delete(best);
    merges.push([left, right]);
    vocabulary.set(left + right, vocabulary.size);
  }
  return { vocabulary, merges, specials };
}

function mergeSymbols(symbols: readonly string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (let at = 0; at < symbols.length; at++)
    if (symbols[at] === left && symbols[at + 1] === right) {
      merged.push(left + right);
      at++;
    } else merged.push(symbols[at]!);
  return merged;
}

/** The content of `tokenizer.json`. */
export function tokenizerJson({ vocabulary, merges, specials }: Bpe): object {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges: merges.map((pair) => pair.join(' ')),
    },
  };
}
