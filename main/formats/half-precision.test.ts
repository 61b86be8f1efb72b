import { describe, expect, it } from 'vitest';
import { Random } from '../basics/random.ts';
import { decodeBf16, decodeF16, encodeBf16, encodeF16, f16ToFloat, floatToF16 } from './half-precision.ts';

const everyPattern = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

/** The definition of binary16. */
function f16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** The nearest F16 by its distance to both neighbours, an even one where they are as near. */
function nearestF16(value: number): number {
  const magnitude = Math.abs(value);
  let low = 0;
  for (let high = 0x7c00; high - low > 1;) {
    const middle = (low + high) >> 1;
    if (f16Value(middle) <= magnitude) low = middle;
    else high = middle;
  }
  if (magnitude === Infinity) low = 0x7c00;
  else {
    // Above the largest value the neighbour is what 2^16 would be; it is written as infinity.
    const up = low === 0x7bff ? 65_536 : f16Value(low + 1);
    const below = magnitude - f16Value(low);
    const above = up - magnitude;
    if (above < below || (above === below && low % 2 === 1)) low++;
  }
  return low | (Object.is(Math.sign(value), -1) || Object.is(value, -0) ? 0x8000 : 0);
}

function randomFloats(count: number, seed: number): Float32Array {
  const random = new Random(seed);
  return new Float32Array(Uint32Array.from({ length: count }, () => random.next()).buffer);
}

describe('F16', () => {
  it('decodes all 65 536 bit patterns as they are defined', () => {
    const values = decodeF16(everyPattern);
    for (let bits = 0; bits < 65_536; bits++) {
      expect(Object.is(values[bits], f16Value(bits))).toBe(true);
      expect(Object.is(f16ToFloat(bits), f16Value(bits))).toBe(true);
    }
  });

  it('encodes every F16 value to its own bits', () => {
    const back = encodeF16(decodeF16(everyPattern));
    for (let bits = 0; bits < 65_536; bits++)
      if (!Number.isNaN(f16ToFloat(bits))) expect(back[bits]).toBe(bits);
      else expect(Number.isNaN(f16ToFloat(back[bits]!))).toBe(true);
  });

  it('rounds 300 000 random bit patterns and all midpoints to the nearest, ties to even', () => {
    const values = randomFloats(300_000, 7);
    const midpoints: number[] = [];
    for (let bits = 0; bits < 0x7c00; bits++) {
      const middle = bits === 0x7bff ? 65_520 : (f16ToFloat(bits) + f16ToFloat(bits + 1)) / 2;
      midpoints.push(middle, middle * (1 + 2 ** -20), -middle * (1 - 2 ** -20));
    }
    const all = Float32Array.from([...values, ...midpoints]);
    const encoded = encodeF16(all);
    let differing = 0;
    for (const [i, value] of all.entries()) {
      if (Number.isNaN(value)) {
        if (!Number.isNaN(f16ToFloat(encoded[i]!))) differing++;
      } else if (encoded[i] !== nearestF16(value) || encoded[i] !== floatToF16(value)) differing++;
    }
    expect(differing).toBe(0);
  });

  it('rounds to float32 first', () => {
    // Just above a midpoint in float64, on it in float32: the tie goes to even.
    expect(floatToF16(1 + 2 ** -11 + 2 ** -40)).toBe(0x3c00);
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

const floatToBf16 = (value: number) => encodeBf16(Float32Array.of(value))[0]!;
const roundTrip = (value: number) => decodeBf16(encodeBf16(Float32Array.of(value)))[0]!;

describe('BF16', () => {
  it('encodes every BF16 value to its own bits', () => {
    const values = decodeBf16(everyPattern);
    const back = encodeBf16(values);
    const again = decodeBf16(back);
    for (let bits = 0; bits < 65_536; bits++)
      if (!Number.isNaN(values[bits]!)) expect(back[bits]).toBe(bits);
      else expect(Number.isNaN(again[bits]!)).toBe(true);
  });

  it('rounds to nearest, ties to even, over into infinity', () => {
    expect(floatToBf16(1 + 2 ** -8)).toBe(0x3f80);
    expect(floatToBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
    expect(floatToBf16(1 + 2 ** -8 + 2 ** -16)).toBe(0x3f81);
    expect(floatToBf16(3.4028234e38)).toBe(0x7f80);
    expect(floatToBf16(-Infinity)).toBe(0xff80);
    expect(Number.isNaN(roundTrip(NaN))).toBe(true);
    const worst = randomFloats(100_000, 3).reduce((most, value) => {
      if (!Number.isFinite(value) || Math.abs(value) < 2 ** -126 || Math.abs(value) > 3e38) return most;
      return Math.max(most, Math.abs(roundTrip(value) / value - 1));
    }, 0);
    expect(worst).toBeLessThanOrEqual(2 ** -8);
    expect(worst).toBeGreaterThan(2 ** -8.1);
  });
});
