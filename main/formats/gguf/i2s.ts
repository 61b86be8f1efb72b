/**
 * I2_S, bitnet.cpp's ternary type: codes -1 -> 0, 0 -> 1, +1 -> 2, flat in row-major order; every 128 weights become 32 bytes,
 * `byte[p] = c[p]<<6 | c[32+p]<<4 | c[64+p]<<2 | c[96+p]`; then one float32 scale (what a +1 stands for) and 28 zero bytes.
 */
import { TritsmithError } from '../../contract/errors.ts';
import { checkShapeForType, tensorTypeByName } from './tensor-types.ts';

const notTernary = (value: number, index: number) =>
  new TritsmithError('internal', 'packing.not-ternary', { index, value: String(value) });

/**
 * Packs a ternary matrix `[rows, columns]`, row-major, into n/4 + 32 bytes.
 * @throws TritsmithError `unsupported` (columns no multiple of 128, rows no multiple of 4), `internal` (a value outside {-1, 0, 1}, or a length that is not rows x columns)
 */
export function packI2s(values: Float32Array | Int8Array, rows: number, columns: number, scale: number): Uint8Array {
  checkShapeForType('matrix', tensorTypeByName('I2_S'), [rows, columns]);
  if (values.length !== rows * columns)
    throw new TritsmithError('internal', 'packing.matrix', { rows, columns, values: values.length });
  return packI2sThroughRows(values, scale);
}

/**
 * The same for rows of any width: blocks go on over their ends, and zeros fill up the last one. Only our runtime reads it (docs/formats.md, 2.1).
 * @throws TritsmithError `internal` for a value outside {-1, 0, 1}
 */
export function packI2sThroughRows(values: Float32Array | Int8Array, scale: number): Uint8Array {
  const blocks = Math.ceil(values.length / 128);
  const packed = new Uint8Array(blocks * 32 + 32);
  for (let block = 0; block < values.length; block += 128)
    for (let p = 0; p < 32; p++) {
      let byte = 0;
      for (let group = 0; group < 4; group++) {
        const index = block + group * 32 + p;
        const value = values[index] ?? 0;
        if (value !== 0 && value !== 1 && value !== -1) throw notTernary(value, index);
        byte |= (value + 1) << (6 - 2 * group);
      }
      packed[block / 4 + p] = byte;
    }
  new DataView(packed.buffer).setFloat32(blocks * 32, scale, true);
  return packed;
}

/** The codes of whole blocks as ternary values (code 3 reads as 0); `bytes` without the scale, `out` four times as long. */
export function unpackI2sBlocks(bytes: Uint8Array, out: Int8Array | Float32Array): void {
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    const first = (i >>> 5) * 128 + (i & 31);
    for (let group = 0; group < 4; group++) {
      const code = (byte >>> (6 - 2 * group)) & 3;
      out[first + group * 32] = code === 3 ? 0 : code - 1;
    }
  }
}
