/** Damaged copies of real files for fuzz tests: the same seed gives the same copies. */

const nastyWords = [
  '__proto__',
  'constructor',
  '../../../etc/passwd',
  '9007199254740993',
  '-1',
  '1e999',
  'null',
  '[[[[[[[[',
  '{"a":',
  '"',
  '\u0000',
  '\ufeff',
  '\r',
  '\n\n',
  '\t\t\t',
];

/** One damaged copy: flipped bits, overwritten numbers, cut or doubled pieces, inserted words, truncation; the first `focus` bytes are hit most. */
export function mutate(original: Uint8Array, below: (limit: number) => number, focus = original.length): Uint8Array {
  let bytes = Uint8Array.from(original);
  const position = () => below(Math.max(1, below(4) === 0 ? bytes.length : Math.min(focus, bytes.length)));
  for (let rounds = 1 + below(4); rounds > 0; rounds--) {
    const at = position();
    const splice = (removed: number, inserted: Uint8Array) => {
      const tail = bytes.subarray(at + removed);
      const changed = new Uint8Array(at + inserted.length + tail.length);
      changed.set(bytes.subarray(0, at));
      changed.set(inserted, at);
      changed.set(tail, at + inserted.length);
      bytes = changed;
    };
    switch (below(8)) {
      case 0:
        if (bytes.length > 0) bytes[at]! ^= 1 << below(8);
        break;
      case 1:
        if (bytes.length > 0) bytes[at] = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x5d][below(8)]!;
        break;
      case 2:
        bytes = bytes.slice(0, at);
        break;
      case 3:
        splice(below(32), new Uint8Array());
        break;
      case 4:
        splice(0, bytes.slice(at, at + below(64)));
        break;
      case 5:
        splice(below(8), new TextEncoder().encode(nastyWords[below(nastyWords.length)]));
        break;
      case 6:
        if (at + 8 <= bytes.length)
          new DataView(bytes.buffer).setBigUint64(
            at,
            [0xffff_ffff_ffff_ffffn, 1n << 62n, 1n << 31n, 0n][below(4)]!,
            true,
          );
        break;
      default:
        if (at + 4 <= bytes.length) new DataView(bytes.buffer).setUint32(at, below(0x1_0000_0000), true);
    }
  }
  return bytes;
}
