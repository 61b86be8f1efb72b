/** IEEE 754 binary16 (F16, the language's own) and bfloat16 (BF16, ours) to and from float32: round to nearest, ties to even. */

const scratch = new DataView(new ArrayBuffer(2));

function bf16FromFloatBits(bits: number): number {
  if ((bits & 0x7fff_ffff) > 0x7f80_0000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Bits of the F16 nearest to `value` (as float32), ties to even; beyond 65 520: infinity. */
export function floatToF16(value: number): number {
  scratch.setFloat16(0, Math.fround(value));
  return scratch.getUint16(0);
}

/** The value of F16 bits. */
export function f16ToFloat(bits: number): number {
  scratch.setUint16(0, bits);
  return scratch.getFloat16(0);
}

const halves = (bits: Uint16Array) => new Float16Array(bits.buffer, bits.byteOffset, bits.length);
const floatBits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** `[n]` float32 to F16 bits, into `out` (of the same length) where given. */
export function encodeF16(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  halves(out).set(values);
  return out;
}

/** `[n]` F16 bits to float32, into `out` (of the same length) where given. */
export function decodeF16(bits: Uint16Array, out: Float32Array = new Float32Array(bits.length)): Float32Array {
  out.set(halves(bits));
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
