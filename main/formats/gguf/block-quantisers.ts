/**
 * Q4_0 and Q6_K as ggml quantises without an importance matrix (`ggml_quantize_chunk`), byte for byte: every step is rounded to
 * float32 as there. Golden bytes: golden/make-ggml.py.
 */
import { TritsmithError } from '../../contract/errors.ts';
import { f16ToFloat, floatToF16 } from '../half-precision.ts';

const { fround } = Math;

function checkBlocks(type: string, count: number, block: number): void {
  if (count % block === 0) return;
  throw new TritsmithError('unsupported', 'packing.blocks', { count, type, block });
}

/** Rounds half to even, as adding 1.5 * 2^23 in float32 does. */
function nearest(value: number): number {
  return fround(fround(value + 12582912) - 12582912);
}

/** Quantises to Q4_0: blocks of 32 nibbles with an F16 scale, 18 bytes each; the value of largest magnitude becomes -8. @throws TritsmithError `unsupported` (length) */
export function packQ4(values: Float32Array): Uint8Array {
  checkBlocks('Q4_0', values.length, 32);
  const packed = new Uint8Array((values.length / 32) * 18);
  for (let block = 0, at = 0; block < values.length; block += 32, at += 18) {
    let largest = 0;
    for (let i = 0; i < 32; i++) if (Math.abs(values[block + i]!) > Math.abs(largest)) largest = values[block + i]!;
    const scale = fround(largest / -8);
    const inverse = scale === 0 ? 0 : fround(1 / scale);
    const bits = floatToF16(scale);
    packed[at] = bits & 0xff;
    packed[at + 1] = bits >>> 8;
    const code = (value: number) => Math.min(15, Math.trunc(fround(fround(value * inverse) + 8.5)));
    for (let i = 0; i < 16; i++) packed[at + 2 + i] = code(values[block + i]!) | (code(values[block + 16 + i]!) << 4);
  }
  return packed;
}

/**
 * The scale of 16 values on the grid -32…31 that leaves the least squared error weighted by the values' squares (ggml:
 * `make_qx_quants`); their codes on that grid go into `codes`.
 */
function groupScale(values: Float32Array, first: number, codes: Uint8Array): number {
  codes.fill(0);
  let extreme = 0;
  for (let i = first; i < first + 16; i++) if (Math.abs(values[i]!) > Math.abs(extreme)) extreme = values[i]!;
  if (Math.abs(extreme) < 1e-15) return 0;
  let best = 0;
  let scale = 0;
  const levels = new Int8Array(16);
  for (let step = -9; step <= 9; step++) {
    // The unshifted grid comes first; the others replace it where they are better.
    const shift = step === -9 ? 0 : step <= 0 ? step - 1 : step;
    const inverse = fround(-fround(32 + fround(fround(0.1) * shift)) / extreme);
    let sumLx = 0;
    let sumL2 = 0;
    for (let i = 0; i < 16; i++) {
      const x = values[first + i]!;
      const level = Math.max(-32, Math.min(31, nearest(fround(inverse * x))));
      levels[i] = level;
      const weight = fround(x * x);
      sumLx = fround(sumLx + fround(fround(weight * x) * level));
      sumL2 = fround(sumL2 + fround(fround(weight * level) * level));
    }
    if (step !== -9 && !(sumL2 > 0 && fround(sumLx * sumLx) > fround(best * sumL2))) continue;
    scale = sumL2 > 0 ? fround(sumLx / sumL2) : 0;
    best = fround(scale * sumLx);
    levels.forEach((level, i) => (codes[i] = level + 32));
  }
  return scale;
}

/** Quantises to Q6_K: blocks of 256 six-bit values, 16 int8 group scales and an F16 scale, 210 bytes each. @throws TritsmithError `unsupported` (length) */
export function packQ6(values: Float32Array): Uint8Array {
  checkBlocks('Q6_K', values.length, 256);
  const packed = new Uint8Array((values.length / 256) * 210);
  const scales = new Float32Array(16);
  const codes = new Uint8Array(256);
  for (let block = 0, at = 0; block < values.length; block += 256, at += 210) {
    let largest = 0;
    for (let group = 0; group < 16; group++) {
      scales[group] = groupScale(values, block + group * 16, codes.subarray(group * 16, group * 16 + 16));
      if (Math.abs(scales[group]!) > Math.abs(largest)) largest = scales[group]!;
    }
    if (Math.abs(largest) < 1e-15) continue;
    const inverse = fround(-128 / largest);
    const bits = floatToF16(fround(1 / inverse));
    const common = f16ToFloat(bits);
    for (let group = 0; group < 16; group++) {
      const groupCode = Math.min(127, nearest(fround(inverse * scales[group]!)));
      packed[at + 192 + group] = groupCode & 0xff;
      const step = fround(common * groupCode);
      // With a scale of zero the codes stay those of the search, as in ggml.
      if (step === 0) continue;
      for (let i = group * 16; i < group * 16 + 16; i++)
        codes[i] = 32 + Math.max(-32, Math.min(31, nearest(fround(values[block + i]! / step))));
    }
    for (let side = 0; side < 2; side++)
      for (let i = 0; i < 32; i++) {
        const code = (quarter: number) => codes[side * 128 + quarter * 32 + i]!;
        packed[at + side * 64 + i] = (code(0) & 15) | ((code(2) & 15) << 4);
        packed[at + side * 64 + 32 + i] = (code(1) & 15) | ((code(3) & 15) << 4);
        packed[at + 128 + side * 32 + i] =
          (code(0) >> 4) | ((code(1) >> 4) << 2) | ((code(2) >> 4) << 4) | ((code(3) >> 4) << 6);
      }
    packed[at + 208] = bits & 0xff;
    packed[at + 209] = bits >>> 8;
  }
  return packed;
}
