/** Which tokens a task student needs, and what splitting text into them needs besides. */
import type { Tokenizer } from '../../formats/tokenizers/index.ts';

/** The characters that byte-level BPE writes bytes as (GPT-2): printable ones stand for themselves, the others start at U+0100. */
function byteCharacters(): string[] {
  const printable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let shifted = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : 256 + shifted++));
}

/** Pairs that BPE can merge, by rank. */
function ranks(merges: readonly (readonly [string, string])[]): Map<string, number> {
  return new Map(merges.map(([left, right], rank) => [`${left} ${right}`, rank]));
}

/** Every token that BPE passes through on its way from characters to `token`; only the characters where it does not arrive there. */
function derivation(token: string, rankOf: ReadonlyMap<string, number>): Set<string> {
  let parts = [...token];
  const passed = new Set(parts);
  for (;;) {
    let best = -1;
    let lowest = Number.POSITIVE_INFINITY;
    for (let index = 0; index + 1 < parts.length; index += 1) {
      const rank = rankOf.get(`${parts[index]!} ${parts[index + 1]!}`);
      if (rank !== undefined && rank < lowest) {
        lowest = rank;
        best = index;
      }
    }
    if (best < 0) return passed;
    parts = [...parts.slice(0, best), parts[best]! + parts[best + 1]!, ...parts.slice(best + 2)];
    passed.add(parts[best]!);
  }
}

/**
 * Ids to keep, ascending: those that were `used`, special and other added tokens, the bytes (byte-level characters or `<0xNN>`), and the
 * tokens that merging passes through to make them. Text that was tokenised into `used` ids is tokenised into the same tokens afterwards;
 * other text falls back to smaller ones.
 */
export function keptTokens(tokenizer: Tokenizer, used: Iterable<number>): Int32Array {
  const { definition } = tokenizer;
  const { vocab, merges, unknownToken } = definition.model;
  const kept = new Set<number>();
  const keep = (token: string): void => {
    if (Object.hasOwn(vocab, token)) kept.add(vocab[token]!);
  };
  for (const { id } of definition.addedTokens) kept.add(id);
  for (const id of [tokenizer.bosId, tokenizer.eosId, tokenizer.padId, tokenizer.unkId]) if (id !== null) kept.add(id);
  if (unknownToken !== null) keep(unknownToken);
  if (JSON.stringify(definition.preTokenizer ?? '').includes('ByteLevel')) byteCharacters().forEach(keep);
  for (let byte = 0; byte < 256; byte += 1) keep(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const rankOf = ranks(merges);
  const added = new Set(kept);
  for (const id of used) {
    if (added.has(id)) continue;
    kept.add(id);
    const token = tokenizer.idToToken(id);
    if (token !== null) for (const part of derivation(token, rankOf)) keep(part);
  }
  return Int32Array.from(kept).sort();
}
