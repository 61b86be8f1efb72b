/** The small students of the golden test: one per architecture, placement and table type. `node students.ts <folder>` writes their files. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeStudent, type StudentFile, type StudentShape } from './student-files.ts';

const base: StudentShape = {
  architecture: 'llama',
  width: 128,
  layers: 2,
  ffn: 384,
  heads: 8,
  kvHeads: 4,
  headDim: 16,
  vocabulary: 260,
  context: 128,
  ropeBase: 10000,
};
const gemma3: StudentShape = { ...base, architecture: 'gemma3', headDim: 24, ropeBase: 1e6 };
const file: StudentFile = { weights: 'i2_s', table: 'f16', tied: true, subln: 'none', seed: 1 };

export const students: Record<string, { shape: StudentShape; file: StudentFile }> = {
  'llama-f16': { shape: base, file },
  'llama3-rope-untied': { shape: base, file: { ...file, tied: false, ropeFactors: true, seed: 2 } },
  'llama-dense-f16': { shape: base, file: { ...file, weights: 'f16', seed: 3 } },
  'llama-dense-f32-table-bf16': { shape: base, file: { ...file, weights: 'f32', table: 'bf16', seed: 4 } },
  'bitnet-f32': { shape: { ...base, architecture: 'bitnet' }, file: { ...file, table: 'f32', seed: 5 } },
  'bitnet-tq2': {
    shape: { ...base, architecture: 'bitnet', width: 256, ffn: 512, headDim: 32 },
    file: { ...file, weights: 'tq2_0', table: 'q6_k', seed: 6 },
  },
  'bitnet-tq1': {
    shape: { ...base, architecture: 'bitnet', width: 256, ffn: 512, headDim: 32 },
    file: { ...file, weights: 'tq1_0', seed: 13 },
  },
  'llama-dense-q4': { shape: base, file: { ...file, weights: 'q4_0', table: 'q4_0', tied: false, seed: 14 } },
  'bitnet-b1.58-q6': {
    shape: { ...base, architecture: 'bitnet-b1.58', width: 256, headDim: 32, kvHeads: 2 },
    file: { ...file, table: 'q6_k', seed: 7 },
  },
  'qwen2-q8': { shape: { ...base, architecture: 'qwen2' }, file: { ...file, table: 'q8_0', seed: 8 } },
  'qwen3-none': { shape: { ...base, architecture: 'qwen3', headDim: 32 }, file: { ...file, seed: 12 } },
  'qwen3-paper': {
    shape: { ...base, architecture: 'qwen3', headDim: 32 },
    file: { ...file, subln: 'paper', seed: 10 },
  },
  'qwen3-all-odd-width': {
    shape: { ...base, architecture: 'qwen3', width: 96, ffn: 320, headDim: 24, heads: 4, kvHeads: 4 },
    file: { ...file, subln: 'all', seed: 11 },
  },
  'llama-window': { shape: { ...base, more: { 'attention.sliding_window': 6 } }, file: { ...file, seed: 22 } },
  'gemma3-dense': {
    shape: { ...gemma3, layers: 3, more: { 'attention.sliding_window': 7, 'attention.sliding_window_pattern': 3 } },
    file: { ...file, weights: 'f16', seed: 16 },
  },
  'gemma3-paper': {
    shape: {
      ...gemma3,
      more: {
        'attention.sliding_window': 5,
        'attention.sliding_window_pattern': 2,
        'attention.scale': 0.3,
        'rope.freq_base_swa': 777.5,
      },
    },
    file: { ...file, subln: 'paper', seed: 17 },
  },
  'smollm3-paper': {
    shape: { ...base, architecture: 'smollm3', layers: 4 },
    file: { ...file, subln: 'paper', seed: 18 },
  },
  'granite-all': {
    shape: {
      ...base,
      architecture: 'granite',
      more: { embedding_scale: 3.5, residual_scale: 0.22, 'attention.scale': 0.15, logit_scale: 4.5 },
    },
    file: { ...file, subln: 'all', seed: 19 },
  },
  'olmo2-paper-untied': {
    shape: { ...base, architecture: 'olmo2' },
    file: { ...file, tied: false, subln: 'paper', seed: 20 },
  },
  'phi3-part-rotated': {
    shape: { ...base, architecture: 'phi3', more: { 'rope.dimension_count': 12, 'rope.scaling.attn_factor': 1.19 } },
    file: { ...file, subln: 'paper', seed: 21 },
  },
};

/** The prompt of every golden run. */
export const prompt = Int32Array.from({ length: 21 }, (_, i) => (i * 37 + 11) % 256);

export function writeStudents(folder: string): void {
  for (const [name, { shape, file: kind }] of Object.entries(students))
    writeStudent(join(folder, `${name}.gguf`), shape, kind);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeStudents(process.argv[2]!);
