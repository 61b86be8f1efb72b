/**
 * Cutting text where BPE can never join it. Tokenizers in the manner of SentencePiece have no pre-tokenizer, so the whole text is one
 * "word" whose cost grows faster than its length. Two neighbouring characters that stand side by side in no token are never
 * merged across, so a cut between them changes nothing, and the short pieces hit the model's cache.
 */

/** Adjacent characters (code points) that some token holds side by side. */
export function joinedPairs(tokens: Iterable<string>): Set<string> {
  const pairs = new Set<string>();
  for (const token of tokens) {
    let previous = '';
    for (const character of token) {
      if (previous !== '') pairs.add(previous + character);
      previous = character;
    }
  }
  return pairs;
}

/** Pieces of `text`, in order and without loss, cut at every pair that is not in `pairs`. */
export function cutAtUnjoinedPairs(text: string, pairs: ReadonlySet<string>): string[] {
  const pieces: string[] = [];
  let start = 0;
  let position = 0;
  let previous = '';
  for (const character of text) {
    if (previous !== '' && !pairs.has(previous + character)) {
      pieces.push(text.slice(start, position));
      start = position;
    }
    previous = character;
    position += character.length;
  }
  if (start < text.length) pieces.push(text.slice(start));
  return pieces;
}

const longestPiece = 256 * 1024;

/**
 * Pieces of about 256 KB that end after a line break which a character other than white space follows. The split patterns of GPT-2,
 * Qwen2 and Llama-3 never join across such a place, so encoding piece by piece gives the same ids.
 */
export function cutAtLines(text: string): string[] {
  const pieces: string[] = [];
  let start = 0;
  while (text.length - start > longestPiece) {
    const lineStart = /\n(?=[\p{L}\p{N}"'“‘(])/gu;
    lineStart.lastIndex = start + longestPiece;
    const found = lineStart.exec(text);
    if (!found) break;
    pieces.push(text.slice(start, found.index + 1));
    start = found.index + 1;
  }
  pieces.push(text.slice(start));
  return pieces;
}
