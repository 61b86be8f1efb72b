/** IEEE 754 binary16 (F16) and bfloat16 (BF16) to and from float32: round to nearest, ties to even; subnormals, infinities, NaN. */

const scratch = new ArrayBuffer(4);
const scratchFloat = new Float32Array(scratch);
const scratchBits = new Uint32Array(scratch);

let f16Table: Float32Array | undefined;

/** All 65 536 F16 values as float32, made at first use. */
function f16Values(): Float32Array {
  if (f16Table) return f16Table;
  const table = new Float32Array(65_536);
  for (let bits = 0; bits < 65_536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >>> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 31) table[bits] = fraction === 0 ? sign * Infinity : NaN;
    else if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else table[bits] = sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  f16Table = table;
  return table;
}

function f16FromFloatBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fff_ffff;
  if (magnitude > 0x7f80_0000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x477f_f000) return sign | 0x7c00;
  if (magnitude >= 0x3880_0000) return sign | ((magnitude - 0x3800_0000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  if (magnitude <= 0x3300_0000) return sign;
  const shift = 126 - (magnitude >>> 23);
  const significand = (magnitude & 0x7f_ffff) | 0x80_0000;
  const truncated = significand >>> shift;
  const rest = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (truncated + (rest > half || (rest === half && (truncated & 1) === 1) ? 1 : 0));
}

function bf16FromFloatBits(bits: number): number {
  if ((bits & 0x7fff_ffff) > 0x7f80_0000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Bits of the F16 nearest to `value` (as float32), ties to even; beyond 65 520: infinity. */
export function floatToF16(value: number): number {
  scratchFloat[0] = value;
  return f16FromFloatBits(scratchBits[0]!);
}

/** The value of F16 bits. */
export function f16ToFloat(bits: number): number {
  return f16Values()[bits & 0xffff]!;
}

/** Bits of the BF16 nearest to `value` (as float32), ties to even. */
export function floatToBf16(value: number): number {
  scratchFloat[0] = value;
  return bf16FromFloatBits(scratchBits[0]!);
}

/** The value of BF16 bits. */
export function bf16ToFloat(bits: number): number {
  scratchBits[0] = (bits & 0xffff) << 16;
  return scratchFloat[0]!;
}

const floatBits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** `[n]` float32 to F16 bits, into `out` (of the same length) where given. */
export function encodeF16(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const bits = floatBits(values);
  for (let i = 0; i < bits.length; i++) out[i] = f16FromFloatBits(bits[i]!);
  return out;
}

/** `[n]` F16 bits to float32, into `out` (of the same length) where given. */
export function decodeF16(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length)): Float32Array {
  const table = f16Values();
  for (let i = 0; i < bits.length; i++) out[i] = table[bits[i]!]!;
  return out;
}

/** `[n]` float32 to BF16 bits, into `out` (of the same length) where given. */
export function encodeBf16(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const bits = floatBits(values);
  for (let i = 0; i < bits.length; i++) out[i] = bf16FromFloatBits(bits[i]!);
  return out;
}

/** `[n]` BF16 bits to float32, into `out` (of the same length) where given. */
export function decodeBf16(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length)): Float32Array {
  const target = floatBits(out);
  for (let i = 0; i < bits.length; i++) target[i] = bits[i]! << 16;
  return out;
}
