/**
 * Tokens of recently seen pieces of text. Two generations instead of an exact order of use: an entry is dropped when it was not
 * asked for while `entries` others came in. (The library's own cache re-inserts at every hit, which slows down with its size.)
 */
export class PieceCache {
  #young = new Map<string, string[]>();
  #old = new Map<string, string[]>();
  capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get(piece: string): string[] | undefined {
    const found = this.#young.get(piece);
    if (found !== undefined) return found;
    const earlier = this.#old.get(piece);
    if (earlier !== undefined) this.put(piece, earlier);
    return earlier;
  }

  put(piece: string, tokens: string[]): void {
    if (this.#young.size >= this.capacity) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(piece, tokens);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }
}
