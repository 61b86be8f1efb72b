import { describe, expect, it } from 'vitest';
import {
  bf16ToFloat,
  decodeBf16,
  decodeF16,
  encodeBf16,
  encodeF16,
  f16ToFloat,
  floatToBf16,
  floatToF16,
} from './half-precision.ts';

/** V8's own binary16 view: the independent implementation. */
const view = new DataView(new ArrayBuffer(4)) as DataView & {
  getFloat16(at: number): number;
  setFloat16(at: number, value: number): void;
};
const everyPattern = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

function randomFloats(count: number, seed: number): Float32Array {
  const bits = new Uint32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const high = state;
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bits[i] = ((high & 0xffff_0000) | (state >>> 16)) >>> 0;
  }
  return new Float32Array(bits.buffer);
}

describe('F16', () => {
  it('decodes all 65 536 bit patterns as V8 does', () => {
    const values = decodeF16(everyPattern);
    for (let bits = 0; bits < 65_536; bits++) {
      view.setUint16(0, bits);
      expect(Object.is(values[bits], view.getFloat16(0))).toBe(true);
    }
  });

  it('encodes every F16 value to its own bits', () => {
    const back = encodeF16(decodeF16(everyPattern));
    for (let bits = 0; bits < 65_536; bits++)
      if (!Number.isNaN(f16ToFloat(bits))) expect(back[bits]).toBe(bits);
      else expect(Number.isNaN(f16ToFloat(back[bits]!))).toBe(true);
  });

  it('rounds 300 000 random bit patterns and all midpoints as V8 does', () => {
    const values = randomFloats(300_000, 7);
    const midpoints: number[] = [];
    for (let bits = 0; bits < 0x7c00; bits++) {
      const middle = bits === 0x7bff ? 65_520 : (f16ToFloat(bits) + f16ToFloat(bits + 1)) / 2;
      midpoints.push(middle, middle * (1 + 2 ** -20), -middle * (1 - 2 ** -20));
    }
    let differing = 0;
    for (const value of [...values, ...midpoints]) {
      view.setFloat16(0, value);
      const ours = floatToF16(value);
      if (Number.isNaN(value) ? !Number.isNaN(f16ToFloat(ours)) : ours !== view.getUint16(0)) differing++;
    }
    expect(differing).toBe(0);
  });

  it('keeps the edges: 65 504, 65 519.996 and 65 520, 2^-24, half of it, signed zero', () => {
    expect(floatToF16(65_504)).toBe(0x7bff);
    expect(floatToF16(65_519.996)).toBe(0x7bff);
    expect(floatToF16(65_520)).toBe(0x7c00);
    expect(floatToF16(2 ** -24)).toBe(1);
    expect(floatToF16(2 ** -25)).toBe(0);
    expect(floatToF16(2 ** -25 * 1.0001)).toBe(1);
    expect(floatToF16(-0)).toBe(0x8000);
    expect(floatToF16(-Infinity)).toBe(0xfc00);
  });
});

describe('BF16', () => {
  it('encodes every BF16 value to its own bits', () => {
    const back = encodeBf16(decodeBf16(everyPattern));
    for (let bits = 0; bits < 65_536; bits++)
      if (!Number.isNaN(bf16ToFloat(bits))) expect(back[bits]).toBe(bits);
      else expect(Number.isNaN(bf16ToFloat(back[bits]!))).toBe(true);
  });

  it('rounds to nearest, ties to even, over into infinity', () => {
    expect(floatToBf16(1 + 2 ** -8)).toBe(0x3f80);
    expect(floatToBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(floatToBf16(1 + 2 ** -8 + 2 ** -16)).toBe(0x3f81);
    expect(floatToBf16(3.4028234e38)).toBe(0x7f80);
    expect(floatToBf16(-Infinity)).toBe(0xff80);
    expect(Number.isNaN(bf16ToFloat(floatToBf16(NaN)))).toBe(true);
    const worst = randomFloats(100_000, 3).reduce((most, value) => {
      if (!Number.isFinite(value) || Math.abs(value) < 2 ** -126 || Math.abs(value) > 3e38) return most;
      return Math.max(most, Math.abs(bf16ToFloat(floatToBf16(value)) / value - 1));
    }, 0);
    expect(worst).toBeLessThanOrEqual(2 ** -8);
    expect(worst).toBeGreaterThan(2 ** -8.1);
  });
});
