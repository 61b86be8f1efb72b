/** Values of quantised tensors as float32 (ggml-quants.c), and Q8_0 for embeddings. */
import { TritsmithError } from '../../contract/errors.ts';
import { decodeBf16, decodeF16, f16ToFloat, floatToF16 } from '../half-precision.ts';
import { unpackIq4Nl, unpackIq4Xs, unpackQ2K, unpackQ3K, unpackQ4K, unpackQ5K, unpackQ6K } from './k-quants.ts';
import { unpackQ2, unpackTq1, unpackTq2 } from './tq.ts';
import type { TensorType } from './tensor-types.ts';

/** Rounds half away from zero, as C's roundf. */
const roundAway = (value: number) => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);

/** Quantises to Q8_0: blocks of 32 int8 values with an F16 scale, 34 bytes each. @throws TritsmithError `unsupported` (length) */
export function packQ8(values: Float32Array): Uint8Array {
  if (values.length % 32 !== 0)
    throw new TritsmithError('unsupported', 'packing.blocks', { count: values.length, type: 'Q8_0', block: 32 });
  const packed = new Uint8Array((values.length / 32) * 34);
  for (let block = 0, at = 0; block < values.length; block += 32, at += 34) {
    let largest = 0;
    for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(values[block + i]!));
    const scale = Math.fround(largest / 127);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    const bits = floatToF16(scale);
    packed[at] = bits & 0xff;
    packed[at + 1] = bits >>> 8;
    for (let i = 0; i < 32; i++) packed[at + 2 + i] = roundAway(Math.fround(values[block + i]! * inverse)) & 0xff;
  }
  return packed;
}

function unpackQ8(bytes: Uint8Array, out: Float32Array, scaleAt: (at: number) => number): void {
  for (let at = 0, block = 0; at < bytes.length; at += 34, block += 32) {
    const scale = scaleAt(at);
    for (let i = 0; i < 32; i++) out[block + i] = ((bytes[at + 2 + i]! << 24) >> 24) * scale;
  }
}

function unpackQ4(bytes: Uint8Array, out: Float32Array, scaleAt: (at: number) => number): void {
  for (let at = 0, block = 0; at < bytes.length; at += 18, block += 32) {
    const scale = scaleAt(at);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 2 + i]!;
      out[block + i] = ((byte & 15) - 8) * scale;
      out[block + 16 + i] = ((byte >>> 4) - 8) * scale;
    }
  }
}

/** Q4_1, 20 bytes for 32 values: F16 scale, F16 minimum, 16 of codes. */
function unpackQ4WithMinimum(bytes: Uint8Array, out: Float32Array, halfAt: (at: number) => number): void {
  for (let at = 0, block = 0; at < bytes.length; at += 20, block += 32) {
    const scale = halfAt(at);
    const least = halfAt(at + 2);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 4 + i]!;
      out[block + i] = scale * (byte & 15) + least;
      out[block + 16 + i] = scale * (byte >>> 4) + least;
    }
  }
}

/** Q5_0 (22 bytes for 32 values: F16 scale, 4 of high bits, 16 of low bits) and Q5_1 (with an F16 minimum after the scale, 24 bytes). */
function unpackQ5(bytes: Uint8Array, out: Float32Array, halfAt: (at: number) => number, hasMinimum: boolean): void {
  const size = hasMinimum ? 24 : 22;
  for (let at = 0, block = 0; at < bytes.length; at += size, block += 32) {
    const scale = halfAt(at);
    // Without a minimum -0 is added, which changes no value, not even -0.
    const least = hasMinimum ? halfAt(at + 2) : -0;
    const offset = hasMinimum ? 0 : 16;
    const highs = at + size - 20;
    for (let i = 0; i < 32; i++) {
      const low = (bytes[highs + 4 + (i & 15)]! >>> (i < 16 ? 0 : 4)) & 15;
      const high = (bytes[highs + (i >>> 3)]! >>> (i & 7)) & 1;
      out[block + i] = scale * ((low | (high << 4)) - offset) + least;
    }
  }
}

type HalfAt = (at: number) => number;

/** From whole blocks to values, by type; I2_S and T3_4 are not among them, as their scale lies at the end of the tensor. */
const dequantisers: Readonly<Partial<Record<string, (bytes: Uint8Array, out: Float32Array, halfAt: HalfAt) => void>>> =
  {
    F32: (bytes, out) => out.set(new Float32Array(bytes.buffer, bytes.byteOffset, out.length)),
    F16: (bytes, out) => decodeF16(new Uint16Array(bytes.buffer, bytes.byteOffset, out.length), out),
    BF16: (bytes, out) => decodeBf16(new Uint16Array(bytes.buffer, bytes.byteOffset, out.length), out),
    Q4_0: unpackQ4,
    Q4_1: unpackQ4WithMinimum,
    Q5_0: (bytes, out, halfAt) => unpackQ5(bytes, out, halfAt, false),
    Q5_1: (bytes, out, halfAt) => unpackQ5(bytes, out, halfAt, true),
    Q8_0: unpackQ8,
    Q2_0: unpackQ2,
    Q2_K: unpackQ2K,
    Q3_K: unpackQ3K,
    Q4_K: unpackQ4K,
    Q5_K: unpackQ5K,
    Q6_K: unpackQ6K,
    IQ4_NL: unpackIq4Nl,
    IQ4_XS: unpackIq4Xs,
    TQ1_0: unpackTq1,
    TQ2_0: unpackTq2,
  };

/** Types whose values can be read, by name. */
export const readableTypes: ReadonlySet<string> = new Set([...Object.keys(dequantisers), 'I2_S', 'T3_4']);

/**
 * Values of whole blocks of any readable type but those whose scale lies at the end of the tensor (I2_S, T3_4).
 * @throws TritsmithError `unsupported`
 */
export function dequantiseBlocks(type: TensorType, bytes: Uint8Array, out: Float32Array): void {
  const dequantise = dequantisers[type.name];
  if (!dequantise) throw new TritsmithError('unsupported', 'packing.unreadable-type', { type: type.name });
  dequantise(bytes, out, (at) => f16ToFloat(bytes[at]! | (bytes[at + 1]! << 8)));
}
