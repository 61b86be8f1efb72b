/**
 * The types of llama.cpp that hold ternary weights: TQ2_0 and TQ1_0 in blocks of 256 values, Q2_0 in blocks of 64, one F16 scale each
 * (ggml-quants.c). Ternary weights are stored exactly with scale 1, and their own float32 scale goes into a tensor `<name>.scale`; or with a scale for each block, which must be a number
 * that F16 holds.
 */
import { TritsmithError } from '../../contract/errors.ts';
import { floatToF16 } from '../half-precision.ts';

const powers = [81, 27, 9, 3, 1] as const;

function ternaryCode(value: number, index: number): number {
  if (value !== 0 && value !== 1 && value !== -1)
    throw new TritsmithError('internal', 'packing.not-ternary', { index, value: String(value) });
  return value + 1;
}

function checkBlocks(type: string, count: number, block = 256): void {
  if (count % block !== 0) throw new TritsmithError('unsupported', 'packing.blocks', { count, type, block });
}

/** F16 of the scale of each block. */
function scaleBits(scales: number | Float32Array): (block: number) => number {
  if (typeof scales !== 'number') return (block) => floatToF16(scales[block]!);
  const bits = floatToF16(scales);
  return () => bits;
}

/** Packs ternary values in blocks of 66 bytes: 64 of 2-bit codes, then the F16 scale. @throws TritsmithError `unsupported`, `internal` */
export function packTq2(values: Float32Array | Int8Array, scales: number | Float32Array = 1): Uint8Array {
  checkBlocks('TQ2_0', values.length);
  const packed = new Uint8Array((values.length / 256) * 66);
  const bitsOf = scaleBits(scales);
  for (let block = 0, at = 0; block < values.length; block += 256) {
    for (let half = 0; half < 256; half += 128)
      for (let p = 0; p < 32; p++) {
        let byte = 0;
        for (let group = 0; group < 4; group++) {
          const index = block + half + group * 32 + p;
          byte |= ternaryCode(values[index]!, index) << (2 * group);
        }
        packed[at++] = byte;
      }
    const bits = bitsOf(block / 256);
    packed[at++] = bits & 0xff;
    packed[at++] = bits >>> 8;
  }
  return packed;
}

/** Packs ternary values in blocks of 54 bytes: 48 bytes of five trits, 4 of four trits, then the F16 scale. @throws as `packTq2` */
export function packTq1(values: Float32Array | Int8Array, scales: number | Float32Array = 1): Uint8Array {
  checkBlocks('TQ1_0', values.length);
  const packed = new Uint8Array((values.length / 256) * 54);
  const bitsOf = scaleBits(scales);
  let at = 0;
  const pack = (first: number, width: number, trits: number) => {
    for (let p = 0; p < width; p++) {
      let number = 0;
      for (let group = 0; group < trits; group++) {
        const index = first + group * width + p;
        number += ternaryCode(values[index]!, index) * powers[group]!;
      }
      packed[at++] = Math.floor((number * 256 + 242) / 243);
    }
  };
  for (let block = 0; block < values.length; block += 256) {
    pack(block, 32, 5);
    pack(block + 160, 16, 5);
    pack(block + 240, 4, 4);
    const bits = bitsOf(block / 256);
    packed[at++] = bits & 0xff;
    packed[at++] = bits >>> 8;
  }
  return packed;
}

/** Packs ternary values in blocks of 18 bytes: the F16 scale, then 64 2-bit codes, four neighbours to a byte. @throws as `packTq2` */
export function packQ2(values: Float32Array | Int8Array, scales: number | Float32Array = 1): Uint8Array {
  checkBlocks('Q2_0', values.length, 64);
  const packed = new Uint8Array((values.length / 64) * 18);
  const bitsOf = scaleBits(scales);
  for (let index = 0, at = 0; index < values.length;) {
    if (index % 64 === 0) {
      const bits = bitsOf(index / 64);
      packed[at++] = bits & 0xff;
      packed[at++] = bits >>> 8;
    }
    let byte = 0;
    for (let shift = 0; shift < 8; shift += 2, index++) byte |= ternaryCode(values[index]!, index) << shift;
    packed[at++] = byte;
  }
  return packed;
}

/** `bytes` of whole Q2_0 blocks to values; code 3, which no ternary weight has, is twice the scale. */
export function unpackQ2(bytes: Uint8Array, out: Float32Array, scaleAt: (at: number) => number): void {
  for (let at = 0, block = 0; at < bytes.length; at += 18, block += 64) {
    const scale = scaleAt(at);
    for (let i = 0; i < 64; i++) out[block + i] = (((bytes[at + 2 + (i >>> 2)]! >>> (2 * (i & 3))) & 3) - 1) * scale;
  }
}

/** `bytes` of whole TQ2_0 blocks to values. */
export function unpackTq2(bytes: Uint8Array, out: Float32Array, scaleAt: (at: number) => number): void {
  for (let at = 0, block = 0; at < bytes.length; at += 66, block += 256) {
    const scale = scaleAt(at + 64);
    for (let i = 0; i < 64; i++)
      for (let group = 0; group < 4; group++)
        out[block + (i >>> 5) * 128 + group * 32 + (i & 31)] = (((bytes[at + i]! >>> (2 * group)) & 3) - 1) * scale;
  }
}

/** `bytes` of whole TQ1_0 blocks to values. */
export function unpackTq1(bytes: Uint8Array, out: Float32Array, scaleAt: (at: number) => number): void {
  for (let at = 0, block = 0; at < bytes.length; at += 54, block += 256) {
    const scale = scaleAt(at + 52);
    const unpack = (from: number, first: number, width: number, trits: number) => {
      for (let p = 0; p < width; p++)
        for (let group = 0, byte = bytes[from + p]!; group < trits; group++, byte = (byte * 3) & 0xff)
          out[first + group * width + p] = (((byte * 3) >>> 8) - 1) * scale;
    };
    unpack(at, block, 32, 5);
    unpack(at + 32, block + 160, 16, 5);
    unpack(at + 48, block + 240, 4, 4);
  }
}
