/** Values of quantised tensors as float32 (ggml-quants.c), and Q8_0 for embeddings. */
import { TritsmithError } from '../../contract/errors.ts';
import { decodeBf16, decodeF16, f16ToFloat, floatToF16 } from '../half-precision.ts';
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

function unpackQ6(bytes: Uint8Array, out: Float32Array, scaleAt: (at: number) => number): void {
  for (let at = 0, block = 0; at < bytes.length; at += 210, block += 256) {
    const scale = scaleAt(at + 208);
    for (let i = 0; i < 256; i++) {
      const half = i >>> 7;
      const quarter = (i >>> 5) & 3;
      const column = i & 31;
      const low = bytes[at + half * 64 + (quarter & 1) * 32 + column]!;
      const high = bytes[at + 128 + half * 32 + column]!;
      const code = (quarter < 2 ? low & 15 : low >>> 4) | (((high >>> (2 * quarter)) & 3) << 4);
      const subScale = (bytes[at + 192 + (i >>> 4)]! << 24) >> 24;
      out[block + i] = Math.fround(scale * subScale) * (code - 32);
    }
  }
}

/**
 * Values of whole blocks of any type but I2_S (whose scale lies at the end of the tensor).
 * @throws TritsmithError `unsupported`
 */
export function dequantiseBlocks(type: TensorType, bytes: Uint8Array, out: Float32Array): void {
  const scaleAt = (at: number) => f16ToFloat(bytes[at]! | (bytes[at + 1]! << 8));
  switch (type.name) {
    case 'F32':
      out.set(new Float32Array(bytes.buffer, bytes.byteOffset, out.length));
      return;
    case 'F16':
      decodeF16(new Uint16Array(bytes.buffer, bytes.byteOffset, out.length), out);
      return;
    case 'BF16':
      decodeBf16(new Uint16Array(bytes.buffer, bytes.byteOffset, out.length), out);
      return;
    case 'Q8_0':
      return unpackQ8(bytes, out, scaleAt);
    case 'Q4_0':
      return unpackQ4(bytes, out, scaleAt);
    case 'Q6_K':
      return unpackQ6(bytes, out, scaleAt);
    case 'Q2_0':
      return unpackQ2(bytes, out, scaleAt);
    case 'TQ2_0':
      return unpackTq2(bytes, out, scaleAt);
    case 'TQ1_0':
      return unpackTq1(bytes, out, scaleAt);
    default:
      throw new TritsmithError('unsupported', 'packing.unreadable-type', { type: type.name });
  }
}
