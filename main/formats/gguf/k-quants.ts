/**
 * Values of the K-quants and of IQ4 (ggml-quants.c, `dequantize_row_*`): blocks of 256 with scales of their own for groups of 16 or 32.
 * Products of a scale and a code fit float32 or are rounded once, when they are stored, as in ggml: the values are its own, bit for bit.
 */
import { f16ToFloat } from '../half-precision.ts';

const signed = (byte: number): number => (byte << 24) >> 24;
const halfAt = (bytes: Uint8Array, at: number): number => f16ToFloat(bytes[at]! | (bytes[at + 1]! << 8));

/** Q2_K, 84 bytes: 16 bytes with scale and minimum (4 bits each) of 16 values, 64 of codes, F16 scale and F16 scale of the minima. */
export function unpackQ2K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; at < bytes.length; at += 84, block += 256) {
    const scale = halfAt(bytes, at + 80);
    const minimum = halfAt(bytes, at + 82);
    for (let group = 0; group < 16; group++) {
      const packed = bytes[at + group]!;
      const step = scale * (packed & 15);
      const least = minimum * (packed >>> 4);
      const codes = at + 16 + (group >>> 3) * 32 + (group & 1) * 16;
      const shift = group & 6;
      for (let i = 0; i < 16; i++) out[block + group * 16 + i] = step * ((bytes[codes + i]! >>> shift) & 3) - least;
    }
  }
}

/** Q3_K, 110 bytes: 32 of high bits, 64 of low bits, 12 with sixteen 6-bit scales, F16 scale. */
export function unpackQ3K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; at < bytes.length; at += 110, block += 256) {
    const scale = halfAt(bytes, at + 108);
    for (let group = 0; group < 16; group++) {
      const low = bytes[at + 96 + (group & 7)]! >>> (group < 8 ? 0 : 4);
      const high = bytes[at + 104 + (group & 3)]! >>> (2 * (group >>> 2));
      const step = scale * (((low & 15) | ((high & 3) << 4)) - 32);
      const side = (group & 1) * 16;
      const codes = at + 32 + (group >>> 3) * 32 + side;
      const shift = group & 6;
      const bit = group >>> 1;
      for (let i = 0; i < 16; i++) {
        const offset = (bytes[at + side + i]! >>> bit) & 1 ? 0 : 4;
        out[block + group * 16 + i] = step * (((bytes[codes + i]! >>> shift) & 3) - offset);
      }
    }
  }
}

/** The 6-bit scale and minimum of group 0 to 7, from the 12 bytes at `at` (ggml: `get_scale_min_k4`). */
function scaleOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group]! & 63;
  return (bytes[at + group + 4]! & 15) | ((bytes[at + group - 4]! >>> 6) << 4);
}
function minimumOf(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return bytes[at + group + 4]! & 63;
  return (bytes[at + group + 4]! >>> 4) | ((bytes[at + group]! >>> 6) << 4);
}

/** Q4_K, 144 bytes: F16 scale, F16 scale of the minima, 12 of scales, 128 of codes. */
export function unpackQ4K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; at < bytes.length; at += 144, block += 256) {
    const scale = halfAt(bytes, at);
    const minimum = halfAt(bytes, at + 2);
    for (let group = 0; group < 8; group++) {
      const step = scale * scaleOf(bytes, at + 4, group);
      const least = minimum * minimumOf(bytes, at + 4, group);
      const codes = at + 16 + (group >>> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) out[block + group * 32 + i] = step * ((bytes[codes + i]! >>> shift) & 15) - least;
    }
  }
}

/** Q5_K, 176 bytes: as Q4_K, with 32 bytes of high bits before the codes. */
export function unpackQ5K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; at < bytes.length; at += 176, block += 256) {
    const scale = halfAt(bytes, at);
    const minimum = halfAt(bytes, at + 2);
    for (let group = 0; group < 8; group++) {
      const step = scale * scaleOf(bytes, at + 4, group);
      const least = minimum * minimumOf(bytes, at + 4, group);
      const codes = at + 48 + (group >>> 1) * 32;
      const shift = (group & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const high = (bytes[at + 16 + i]! >>> group) & 1;
        out[block + group * 32 + i] = step * (((bytes[codes + i]! >>> shift) & 15) | (high << 4)) - least;
      }
    }
  }
}

/** Q6_K, 210 bytes: 128 of low bits, 64 of high bits, 16 int8 scales, F16 scale. */
export function unpackQ6K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; at < bytes.length; at += 210, block += 256) {
    const scale = halfAt(bytes, at + 208);
    for (let group = 0; group < 16; group++) {
      const step = scale * signed(bytes[at + 192 + group]!);
      const half = group >>> 3;
      const quarter = (group >>> 1) & 3;
      const column = (group & 1) * 16;
      const lows = at + half * 64 + (quarter & 1) * 32 + column;
      const highs = at + 128 + half * 32 + column;
      const shift = quarter < 2 ? 0 : 4;
      for (let i = 0; i < 16; i++) {
        const high = (bytes[highs + i]! >>> (2 * quarter)) & 3;
        out[block + group * 16 + i] = step * ((((bytes[lows + i]! >>> shift) & 15) | (high << 4)) - 32);
      }
    }
  }
}

/** The sixteen values of a 4-bit code of IQ4_NL and IQ4_XS (ggml-common.h, `kvalues_iq4nl`). */
const iq4Values = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** IQ4_NL, 18 bytes for 32 values: F16 scale, 16 of codes. */
export function unpackIq4Nl(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; at < bytes.length; at += 18, block += 32) {
    const scale = halfAt(bytes, at);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 2 + i]!;
      out[block + i] = scale * iq4Values[byte & 15]!;
      out[block + 16 + i] = scale * iq4Values[byte >>> 4]!;
    }
  }
}

/** IQ4_XS, 136 bytes: F16 scale, 2 bytes of high and 4 of low bits of eight 6-bit scales, 128 of codes. */
export function unpackIq4Xs(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; at < bytes.length; at += 136, block += 256) {
    const scale = halfAt(bytes, at);
    const highs = bytes[at + 2]! | (bytes[at + 3]! << 8);
    for (let group = 0; group < 8; group++) {
      const low = (bytes[at + 4 + (group >>> 1)]! >>> (4 * (group & 1))) & 15;
      const step = scale * ((low | (((highs >>> (2 * group)) & 3) << 4)) - 32);
      for (let i = 0; i < 16; i++) {
        const byte = bytes[at + 8 + group * 16 + i]!;
        out[block + group * 32 + i] = step * iq4Values[byte & 15]!;
        out[block + group * 32 + 16 + i] = step * iq4Values[byte >>> 4]!;
      }
    }
  }
}
