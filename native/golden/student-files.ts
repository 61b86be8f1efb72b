/**
 * Random students as GGUF files, for golden tests and benchmarks: the shape, the file types and the SubLN placement of a real one, with weights from
 * a seed. The same seed gives the same ternary weights in every type, so engines are compared on the same student.
 *
 * This is an independent oracle: a second GGUF writer with its own packers and its own random numbers. It imports nothing of main/, so that a
 * mistake in main/formats and a mistake in the native reader cannot cancel out. Keep it that way; its bytes decide golden/runtime.json.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';

export type WeightType = 'i2_s' | 't3_4' | 'q2_0' | 'tq2_0' | 'tq1_0' | 'q4_0' | 'f16' | 'f32';
export type TableType = 'f32' | 'f16' | 'bf16' | 'q4_0' | 'q8_0' | 'q6_k';

export interface StudentShape {
  architecture:
    'llama' | 'bitnet' | 'bitnet-b1.58' | 'qwen2' | 'qwen3' | 'gemma3' | 'smollm3' | 'granite' | 'olmo2' | 'phi3';
  width: number;
  layers: number;
  ffn: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocabulary: number;
  context: number;
  ropeBase: number;
  /** Keys that only some families have, without the architecture; whole numbers are written as uint32, others as float32. */
  more?: Readonly<Record<string, number>>;
}

export interface StudentFile {
  weights: WeightType;
  table: TableType;
  /** One table for embedding and head. */
  tied: boolean;
  /**
   * SubLN norms as `*_norm_in`, in qwen3's way (docs/formats.md, 3.2 and 3.3) or in that of files that are measured here alone (3.4). The bitnet
   * architectures always have their two.
   */
  subln: 'none' | 'paper' | 'all';
  seed: number;
  /** Exactly three of each four ternary weights are not 0, as in T3_4, whatever the type. */
  threeOfFour?: boolean;
  /** Llama-3 frequency factors as `rope_freqs.weight`. */
  ropeFactors?: boolean;
}

/** Two `bitnet` shapes in which other programs are compared too (docs/results.md, "Inference"), and Qwen3-0.6B's. */
export const shapes: Record<'124m' | '729m' | '0.6b', StudentShape> = {
  '124m': {
    architecture: 'bitnet',
    width: 768,
    layers: 12,
    ffn: 2304,
    heads: 12,
    kvHeads: 12,
    headDim: 64,
    vocabulary: 32002,
    context: 2048,
    ropeBase: 10000,
  },
  '729m': {
    architecture: 'bitnet',
    width: 1536,
    layers: 24,
    ffn: 4096,
    heads: 16,
    kvHeads: 16,
    headDim: 96,
    vocabulary: 32002,
    context: 2048,
    ropeBase: 10000,
  },
  '0.6b': {
    architecture: 'qwen3',
    width: 1024,
    layers: 28,
    ffn: 3072,
    heads: 16,
    kvHeads: 8,
    headDim: 128,
    vocabulary: 151936,
    context: 4096,
    ropeBase: 1000000,
  },
};

const ggmlType: Record<WeightType | TableType, number> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q8_0: 8,
  q6_k: 14,
  bf16: 30,
  tq1_0: 34,
  tq2_0: 35,
  i2_s: 36,
  q2_0: 42,
  t3_4: 1034,
};

/** A fast generator of 32 random bits (xorshift32 after a mixed seed). */
function randomBits(seed: number): () => number {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let i = 0; i < 8; i++) next();
  return next;
}

/** Ternary weights: half of them zero, the other half +1 and -1 alike. */
function ternaryWeights(count: number, seed: number): Int8Array {
  const out = new Int8Array(count);
  const next = randomBits(seed);
  for (let i = 0; i < count;) {
    let bits = next();
    for (let k = 0; k < 16 && i < count; k++, bits >>>= 2) out[i++] = ((bits & 1) - ((bits >>> 1) & 1)) | 0;
  }
  return out;
}

function uniform(count: number, seed: number, middle: number, spread: number): Float32Array {
  const next = randomBits(seed);
  return Float32Array.from({ length: count }, () => middle + spread * (next() / 2 ** 31 - 1));
}

const half = new DataView(new ArrayBuffer(4));
function floatToHalf(value: number): number {
  half.setFloat16(0, value);
  return half.getUint16(0);
}

function packI2S(weights: Int8Array, delta: number): Uint8Array {
  const blocks = Math.ceil(weights.length / 128);
  const out = new Uint8Array(blocks * 32 + 32);
  const code = (at: number) => (weights[at] ?? 0) + 1;
  for (let block = 0; block < blocks; block++)
    for (let p = 0; p < 32; p++) {
      const at = block * 128 + p;
      out[block * 32 + p] = (code(at) << 6) | (code(at + 32) << 4) | (code(at + 64) << 2) | code(at + 96);
    }
  new DataView(out.buffer).setFloat32(blocks * 32, delta, true);
  return out;
}

/** One of each four weights 0, the others +1 and -1 alike. */
function threeOfFour(count: number, seed: number): Int8Array {
  const out = new Int8Array(count);
  const next = randomBits(seed);
  for (let four = 0; four < count; four += 4) {
    const bits = next() >>> 8;
    for (let i = 0; i < 4; i++) out[four + i] = i === (bits & 3) ? 0 : ((bits >>> (2 + i)) & 1) * 2 - 1;
  }
  return out;
}

/** T3_4: eight patterns are one number of 40 bits, the first in its lowest five: 8 times the place of the 0, and the signs as a binary number. */
function packT34(weights: Int8Array, delta: number): Uint8Array {
  const blocks = Math.ceil(weights.length / 32);
  const out = new Uint8Array(blocks * 5 + 32);
  for (let block = 0; block < blocks; block++) {
    let number = 0n;
    for (let four = Math.min(7, weights.length / 4 - block * 8 - 1); four >= 0; four--) {
      const own = weights.subarray(block * 32 + four * 4, block * 32 + four * 4 + 4);
      const signs = [...own]
        .filter((weight) => weight !== 0)
        .reduce((sum, weight, at) => sum + (weight > 0 ? 2 ** at : 0), 0);
      number = number * 32n + BigInt(own.indexOf(0) * 8 + signs);
    }
    for (let byte = 0; byte < 5; byte++) out[block * 5 + byte] = Number((number >> BigInt(8 * byte)) & 255n);
  }
  new DataView(out.buffer).setFloat32(blocks * 5, delta, true);
  return out;
}

function packTQ2(weights: Int8Array): Uint8Array {
  const out = new Uint8Array((weights.length / 256) * 66);
  const one = floatToHalf(1);
  for (let block = 0; block * 256 < weights.length; block++) {
    const to = block * 66;
    for (let i = 0; i < 64; i++) {
      const at = block * 256 + (i >> 5) * 128 + (i & 31);
      out[to + i] =
        (weights[at]! + 1) |
        ((weights[at + 32]! + 1) << 2) |
        ((weights[at + 64]! + 1) << 4) |
        ((weights[at + 96]! + 1) << 6);
    }
    out[to + 64] = one & 255;
    out[to + 65] = one >> 8;
  }
  return out;
}

/** Q2_0 as ggml makes it: the scale first, then four neighbours to a byte, the first in the lowest bits. */
function packQ2(weights: Int8Array): Uint8Array {
  const out = new Uint8Array((weights.length / 64) * 18);
  const one = floatToHalf(1);
  for (let block = 0; block * 64 < weights.length; block++) {
    out.set([one & 255, one >> 8], block * 18);
    for (let i = 0; i < 64; i++) out[block * 18 + 2 + (i >> 2)]! |= (weights[block * 64 + i]! + 1) << (2 * (i & 3));
  }
  return out;
}

/** TQ1_0 as ggml makes it: five trits to a byte (the first is the most significant), the last sixteen values four to a byte. */
function packTQ1(weights: Int8Array): Uint8Array {
  const out = new Uint8Array((weights.length / 256) * 54);
  const one = floatToHalf(1);
  const byte = (from: number, stride: number, trits: number) => {
    let number = 0;
    for (let n = 0; n < 5; n++) number = number * 3 + (n < trits ? weights[from + n * stride]! + 1 : 0);
    // A fixed-point fraction of 243, so that multiplying by three brings up one trit after the other.
    return Math.ceil((number * 256) / 243);
  };
  for (let block = 0; block * 256 < weights.length; block++) {
    const from = block * 256;
    const to = block * 54;
    for (let i = 0; i < 32; i++) out[to + i] = byte(from + i, 32, 5);
    for (let i = 0; i < 16; i++) out[to + 32 + i] = byte(from + 160 + i, 16, 5);
    for (let i = 0; i < 4; i++) out[to + 48 + i] = byte(from + 240 + i, 4, 4);
    out[to + 52] = one & 255;
    out[to + 53] = one >> 8;
  }
  return out;
}

/** Q4_0 as ggml makes it: the value of largest magnitude becomes -8 d; every step is rounded to float32. */
function packQ4(values: Float32Array): Uint8Array {
  const { fround } = Math;
  const out = new Uint8Array((values.length / 32) * 18);
  for (let block = 0; block * 32 < values.length; block++) {
    const from = block * 32;
    let largest = 0;
    for (let i = 0; i < 32; i++) if (Math.abs(values[from + i]!) > Math.abs(largest)) largest = values[from + i]!;
    const d = fround(largest / -8);
    const bits = floatToHalf(d);
    out[block * 18] = bits & 255;
    out[block * 18 + 1] = bits >> 8;
    const inverse = d === 0 ? 0 : fround(1 / d);
    const code = (value: number) => Math.min(15, Math.floor(fround(fround(value * inverse) + 8.5)));
    for (let i = 0; i < 16; i++)
      out[block * 18 + 2 + i] = code(values[from + i]!) | (code(values[from + i + 16]!) << 4);
  }
  return out;
}

function packHalves(values: ArrayLike<number>, scale: number): Uint8Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = floatToHalf(values[i]! * scale);
  return new Uint8Array(out.buffer);
}

function packTernaryHalves(weights: Int8Array, delta: number): Uint8Array {
  const codes = [floatToHalf(-delta), 0, floatToHalf(delta)];
  const out = new Uint16Array(weights.length);
  for (let i = 0; i < out.length; i++) out[i] = codes[weights[i]! + 1]!;
  return new Uint8Array(out.buffer);
}

function packBf16(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return new Uint8Array(Uint16Array.from(bits, (b) => b >>> 16).buffer);
}

function packQ8(values: Float32Array): Uint8Array {
  const out = new Uint8Array((values.length / 32) * 34);
  for (let block = 0; block * 32 < values.length; block++) {
    const from = block * 32;
    let largest = 0;
    for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(values[from + i]!));
    const d = floatToHalf(largest / 127);
    out[block * 34] = d & 255;
    out[block * 34 + 1] = d >> 8;
    for (let i = 0; i < 32; i++) out[block * 34 + 2 + i] = Math.round((values[from + i]! / largest) * 127);
  }
  return out;
}

/** Q6_K with each group's scale taken from its largest value (ggml searches for a better one; the format is the same). */
function packQ6(values: Float32Array): Uint8Array {
  const out = new Uint8Array((values.length / 256) * 210);
  const codes = new Uint8Array(256);
  for (let block = 0; block * 256 < values.length; block++) {
    const from = block * 256;
    const to = block * 210;
    let largest = 1e-20;
    for (let i = 0; i < 256; i++) largest = Math.max(largest, Math.abs(values[from + i]!));
    half.setUint16(0, floatToHalf(largest / 31 / 127));
    const d = half.getFloat16(0);
    for (let group = 0; group < 16; group++) {
      let most = 0;
      for (let i = 0; i < 16; i++) most = Math.max(most, Math.abs(values[from + group * 16 + i]!));
      const scale = Math.max(1, Math.min(127, Math.round(most / 31 / d)));
      out[to + 192 + group] = scale;
      for (let i = 0; i < 16; i++)
        codes[group * 16 + i] =
          32 + Math.max(-32, Math.min(31, Math.round(values[from + group * 16 + i]! / (d * scale))));
    }
    for (let side = 0; side < 2; side++)
      for (let i = 0; i < 32; i++) {
        const c = [0, 32, 64, 96].map((offset) => codes[side * 128 + offset + i]!);
        out[to + side * 64 + i] = (c[0]! & 15) | ((c[2]! & 15) << 4);
        out[to + side * 64 + 32 + i] = (c[1]! & 15) | ((c[3]! & 15) << 4);
        out[to + 128 + side * 32 + i] = (c[0]! >> 4) | ((c[1]! >> 4) << 2) | ((c[2]! >> 4) << 4) | ((c[3]! >> 4) << 6);
      }
    const bits = floatToHalf(d);
    out[to + 208] = bits & 255;
    out[to + 209] = bits >> 8;
  }
  return out;
}

interface Tensor {
  name: string;
  shape: number[];
  type: WeightType | TableType;
  bytes: number;
  make: () => Uint8Array;
}

function bytesOf(type: WeightType | TableType, count: number): number {
  switch (type) {
    case 'f32':
      return count * 4;
    case 'f16':
    case 'bf16':
      return count * 2;
    case 'q4_0':
      return (count / 32) * 18;
    case 'q8_0':
      return (count / 32) * 34;
    case 'q6_k':
      return (count / 256) * 210;
    case 'tq1_0':
      return (count / 256) * 54;
    case 'tq2_0':
      return (count / 256) * 66;
    case 'q2_0':
      return (count / 64) * 18;
    case 'i2_s':
      return Math.ceil(count / 128) * 32 + 32;
    case 't3_4':
      return Math.ceil(count / 32) * 5 + 32;
  }
}

const asBytes = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

function tensorsOf(shape: StudentShape, file: StudentFile): Tensor[] {
  const out: Tensor[] = [];
  let seed = file.seed * 10_000;
  const vector = (name: string, count: number, middle: number, spread: number) => {
    const own = ++seed;
    out.push({
      name,
      shape: [count],
      type: 'f32',
      bytes: count * 4,
      make: () => asBytes(uniform(count, own, middle, spread)),
    });
  };
  const table = (name: string) => {
    const own = ++seed;
    const count = shape.width * shape.vocabulary;
    out.push({
      name,
      shape: [shape.width, shape.vocabulary],
      type: file.table,
      bytes: bytesOf(file.table, count),
      make: () => {
        const values = uniform(count, own, 0, 0.1);
        if (file.table === 'f32') return asBytes(values);
        if (file.table === 'f16') return packHalves(values, 1);
        if (file.table === 'bf16') return packBf16(values);
        if (file.table === 'q4_0') return packQ4(values);
        return file.table === 'q8_0' ? packQ8(values) : packQ6(values);
      },
    });
  };
  const linear = (name: string, columns: number, rows: number) => {
    const own = ++seed;
    const count = columns * rows;
    const delta = Math.fround(1.5 / Math.sqrt(columns));
    out.push({
      name: `${name}.weight`,
      shape: [columns, rows],
      type: file.weights,
      bytes: bytesOf(file.weights, count),
      make: () => {
        if (file.weights === 't3_4') return packT34(threeOfFour(count, own), delta);
        const weights = file.threeOfFour === true ? threeOfFour(count, own) : ternaryWeights(count, own);
        if (file.weights === 'i2_s') return packI2S(weights, delta);
        if (file.weights === 'q2_0') return packQ2(weights);
        if (file.weights === 'tq2_0') return packTQ2(weights);
        if (file.weights === 'tq1_0') return packTQ1(weights);
        if (file.weights === 'q4_0') return packQ4(Float32Array.from(weights, (w) => w * delta));
        if (file.weights === 'f16') return packTernaryHalves(weights, delta);
        return asBytes(Float32Array.from(weights, (w) => w * delta));
      },
    });
    if (file.weights === 'tq2_0' || file.weights === 'tq1_0' || file.weights === 'q2_0')
      out.push({
        name: `${name}.scale`,
        shape: [1],
        type: 'f32',
        bytes: 4,
        make: () => asBytes(Float32Array.of(delta)),
      });
  };

  const attention = shape.heads * shape.headDim;
  const kv = shape.kvHeads * shape.headDim;
  const bitnet = shape.architecture.startsWith('bitnet');
  const normsBefore = shape.architecture !== 'olmo2';
  const normsAfter = shape.architecture === 'olmo2' || shape.architecture === 'gemma3';
  table('token_embd.weight');
  if (!file.tied) table('output.weight');
  vector('output_norm.weight', shape.width, 1, 0.2);
  if (file.ropeFactors === true) vector('rope_freqs.weight', shape.headDim / 2, 4, 3);
  for (let i = 0; i < shape.layers; i++) {
    const block = `blk.${i}.`;
    if (normsBefore) vector(`${block}attn_norm.weight`, shape.width, 1, 0.2);
    linear(`${block}attn_q`, shape.width, attention);
    linear(`${block}attn_k`, shape.width, kv);
    linear(`${block}attn_v`, shape.width, kv);
    if (shape.architecture === 'qwen2')
      for (const [name, rows] of [
        ['q', attention],
        ['k', kv],
        ['v', kv],
      ] as const)
        vector(`${block}attn_${name}.bias`, rows, 0, 0.3);
    if (shape.architecture === 'qwen3' || shape.architecture === 'gemma3') {
      vector(`${block}attn_q_norm.weight`, shape.headDim, 1, 0.2);
      vector(`${block}attn_k_norm.weight`, shape.headDim, 1, 0.2);
    }
    if (shape.architecture === 'olmo2') {
      vector(`${block}attn_q_norm.weight`, attention, 1, 0.2);
      vector(`${block}attn_k_norm.weight`, kv, 1, 0.2);
    }
    if (normsAfter) {
      vector(`${block}post_attention_norm.weight`, shape.width, 1, 0.2);
      vector(`${block}post_ffw_norm.weight`, shape.width, 1, 0.2);
    }
    if (bitnet) vector(`${block}attn_sub_norm.weight`, attention, 1, 0.2);
    linear(`${block}attn_output`, attention, shape.width);
    if (bitnet) vector(`${block}ffn_sub_norm.weight`, shape.ffn, 1, 0.2);
    const moved = file.subln === 'paper' && (shape.architecture === 'qwen3' || shape.architecture === 'gemma3');
    if (moved)
      out.push({
        name: `${block}ffn_norm.weight`,
        shape: [shape.width],
        type: 'f32',
        bytes: shape.width * 4,
        make: () => asBytes(new Float32Array(shape.width).fill(1)),
      });
    else if (normsBefore) vector(`${block}ffn_norm.weight`, shape.width, 1, 0.2);
    if (file.subln === 'all')
      for (const name of ['attn_q', 'attn_k', 'attn_v']) vector(`${block}${name}_norm_in.weight`, shape.width, 1, 0.2);
    if (file.subln !== 'none') {
      vector(`${block}attn_output_norm_in.weight`, attention, 1, 0.2);
      if (moved || file.subln === 'all') {
        vector(`${block}ffn_gate_norm_in.weight`, shape.width, 1, 0.2);
        // With SubLN before o and down alone, both carry the weight of ffn_norm (docs/formats.md, 3.3).
        if (moved) seed--;
        vector(`${block}ffn_up_norm_in.weight`, shape.width, 1, 0.2);
      }
      vector(`${block}ffn_down_norm_in.weight`, shape.ffn, 1, 0.2);
    }
    linear(`${block}ffn_gate`, shape.width, shape.ffn);
    linear(`${block}ffn_up`, shape.width, shape.ffn);
    linear(`${block}ffn_down`, shape.ffn, shape.width);
  }
  return out;
}

/** GGUF metadata: what the architecture needs, and a byte-level stand-in for a tokenizer, without which llama.cpp refuses the file. */
function metadata(shape: StudentShape, file: StudentFile): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'utf8');
    const out = Buffer.alloc(8 + bytes.length);
    out.writeBigUInt64LE(BigInt(bytes.length));
    bytes.copy(out, 8);
    return out;
  };
  const u32 = (value: number) => {
    const out = Buffer.alloc(4);
    out.writeUInt32LE(value);
    return out;
  };
  const f32 = (value: number) => {
    const out = Buffer.alloc(4);
    out.writeFloatLE(value);
    return out;
  };
  const u64 = (value: number) => {
    const out = Buffer.alloc(8);
    out.writeBigUInt64LE(BigInt(value));
    return out;
  };
  let keys = 0;
  const put = (key: string, type: number, ...value: Uint8Array[]) => {
    parts.push(text(key), u32(type), ...value);
    keys++;
  };
  const a = shape.architecture;
  put('general.architecture', 8, text(a));
  put('general.name', 8, text(`random ${a} student`));
  put(
    'general.file_type',
    4,
    u32({ t3_4: 1034, i2_s: 40, q2_0: 41, tq2_0: 37, tq1_0: 36, q4_0: 2, f16: 1, f32: 0 }[file.weights]),
  );
  const numbers = {
    context_length: shape.context,
    embedding_length: shape.width,
    block_count: shape.layers,
    feed_forward_length: shape.ffn,
    'attention.head_count': shape.heads,
    'attention.head_count_kv': shape.kvHeads,
    'attention.key_length': shape.headDim,
    'attention.value_length': shape.headDim,
    'rope.dimension_count': shape.headDim,
    vocab_size: shape.vocabulary,
  };
  for (const [key, value] of Object.entries({ ...numbers, ...shape.more }))
    if (Number.isInteger(value)) put(`${a}.${key}`, 4, u32(value));
    else put(`${a}.${key}`, 6, f32(value));
  put(`${a}.attention.layer_norm_rms_epsilon`, 6, f32(1e-5));
  put(`${a}.rope.freq_base`, 6, f32(shape.ropeBase));
  put('tokenizer.ggml.model', 8, text('gpt2'));
  put('tokenizer.ggml.pre', 8, text('gpt-2'));
  const tokens: Uint8Array[] = [];
  for (let i = 0; i < shape.vocabulary; i++) tokens.push(text(i < 256 ? byteCharacter(i) : `t${i}`));
  put('tokenizer.ggml.tokens', 9, u32(8), u64(shape.vocabulary), Buffer.concat(tokens));
  const types = Buffer.alloc(shape.vocabulary * 4);
  for (let i = 0; i < shape.vocabulary; i++) types.writeInt32LE(1, i * 4);
  put('tokenizer.ggml.token_type', 9, u32(5), u64(shape.vocabulary), types);
  put('tokenizer.ggml.merges', 9, u32(8), u64(1), text('a b'));
  put('tokenizer.ggml.bos_token_id', 4, u32(0));
  put('tokenizer.ggml.eos_token_id', 4, u32(1));
  return [u64(keys), ...parts];
}

/** GPT-2's printable stand-in for a byte. */
function byteCharacter(byte: number): string {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  if (printable(byte)) return String.fromCodePoint(byte);
  let shift = 0;
  for (let b = 0; b < byte; b++) if (!printable(b)) shift++;
  return String.fromCodePoint(256 + shift);
}

const alignment = 32;
const aligned = (bytes: number) => Math.ceil(bytes / alignment) * alignment;

/** Writes a random student; tensors are made and written one after the other. The file appears under its name only when it is whole. */
export function writeStudent(path: string, shape: StudentShape, file: StudentFile): void {
  const tensors = tensorsOf(shape, file);
  const [keyCount, ...keys] = metadata(shape, file);
  const header = [Buffer.from('GGUF'), Buffer.alloc(12), keyCount!, ...keys];
  header[1]!.set([3], 0);
  (header[1] as Buffer).writeBigUInt64LE(BigInt(tensors.length), 4);
  let offset = 0;
  for (const { name, shape: dimensions, type, bytes } of tensors) {
    const entry = Buffer.alloc(8 + name.length + 4 + dimensions.length * 8 + 12);
    let at = entry.writeBigUInt64LE(BigInt(name.length));
    at += entry.write(name, at, 'ascii');
    at = entry.writeUInt32LE(dimensions.length, at);
    for (const dimension of dimensions) at = entry.writeBigUInt64LE(BigInt(dimension), at);
    at = entry.writeUInt32LE(ggmlType[type], at);
    entry.writeBigUInt64LE(BigInt(offset), at);
    header.push(entry);
    offset += aligned(bytes);
  }
  const start = Buffer.concat(header);
  const temporary = `${path}.${process.pid}.partial`;
  const output = openSync(temporary, 'w');
  try {
    const write = (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length;) at += writeSync(output, bytes, at, Math.min(bytes.length - at, 1 << 28));
      writeSync(output, new Uint8Array(aligned(bytes.length) - bytes.length));
    };
    write(start);
    for (const tensor of tensors) {
      const bytes = tensor.make();
      if (bytes.length !== tensor.bytes) throw new Error(`${tensor.name} came out as ${bytes.length} bytes.`);
      write(bytes);
    }
    fsyncSync(output);
  } finally {
    closeSync(output);
  }
  renameSync(temporary, path);
}
