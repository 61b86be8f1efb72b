/**
 * T3_4, our own type for weights of which exactly three of each four are not 0 (docs/formats.md, 2.7): a pattern of five bits for each four, flat in row-major
 * order, the first in the lowest bits; then one float32 scale and 28 zero bytes, as I2_S has them.
 */
import { TritsmithError } from '../../contract/errors.ts';

/**
 * Packs ternary values of rows of whole fours; the last 32 are filled up.
 * @throws TritsmithError `unsupported` where a four has not exactly one 0, `internal` for a value outside {-1, 0, 1}
 */
export function packThreeOfFour(values: Float32Array | Int8Array, scale: number): Uint8Array {
  const blocks = Math.ceil(values.length / 32) * 5;
  const packed = new Uint8Array(blocks + 32);
  for (let four = 0, bit = 0; four < values.length; four += 4, bit += 5) {
    const pattern = patternOf(values, four) << (bit & 7);
    const at = bit >>> 3;
    packed[at]! |= pattern & 0xff;
    if (pattern > 0xff) packed[at + 1]! |= pattern >>> 8;
  }
  new DataView(packed.buffer).setFloat32(blocks, scale, true);
  return packed;
}

/** The place of the 0 in bits 3 and 4; in bits 0 to 2 whether the others are positive, in their order. */
function patternOf(values: Float32Array | Int8Array, four: number): number {
  let zero = -1;
  let signs = 0;
  for (let i = 0, bit = 1; i < 4; i++) {
    const value = values[four + i];
    if (value === 0 && zero < 0) zero = i;
    else if (value === 1 || value === -1) {
      if (value === 1) signs |= bit;
      bit <<= 1;
    } else if (value === 0 || value === undefined)
      throw new TritsmithError('unsupported', 'packing.three-of-four', { index: four });
    else throw new TritsmithError('internal', 'packing.not-ternary', { index: four + i, value: String(value) });
  }
  if (zero < 0) throw new TritsmithError('unsupported', 'packing.three-of-four', { index: four });
  return (zero << 3) | signs;
}

/** The values of whole blocks; `bytes` without the scale, `out` as long as the values that are wanted. */
export function unpackThreeOfFour(bytes: Uint8Array, out: Int8Array | Float32Array): void {
  for (let four = 0, bit = 0; four < out.length; four += 4, bit += 5) {
    const at = bit >>> 3;
    let pattern = ((bytes[at]! | ((bytes[at + 1] ?? 0) << 8)) >>> (bit & 7)) & 31;
    const zero = pattern >>> 3;
    for (let i = 0; i < 4 && four + i < out.length; i++) {
      if (i === zero) {
        out[four + i] = 0;
        continue;
      }
      out[four + i] = pattern & 1 ? 1 : -1;
      pattern >>>= 1;
    }
  }
}
