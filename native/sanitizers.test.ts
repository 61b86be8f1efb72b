import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { writeStudent, type StudentFile, type StudentShape } from './golden/student-files.ts';
import { availableKernels } from './runtime.ts';

const root = fileURLToPath(new URL('.', import.meta.url));
const compiler = process.env.CXX ?? 'g++';
const common =
  '-std=c++17 -O0 -ffp-contract=off -fno-math-errno -fsanitize=address,undefined -fno-sanitize-recover=all'.split(' ');
const avx2 = ['-mavx2', '-mfma', '-mf16c'];
const runs = availableKernels();
/** AVX-512 processors without AVX-VNNI run its kernel in their own encoding of the instruction. */
const longAvxVnni = runs.includes('avx512-vnni') && !runs.includes('avx-vnni');
const flags: Record<string, string[]> = {
  'kernels/avx2.cc': avx2,
  'kernels/avxvnni.cc': [...avx2, ...(longAvxVnni ? ['-mavx512vl', '-mavx512vnni'] : ['-mavxvnni'])],
  'checks/main.cc': longAvxVnni ? ['-DTRITSMITH_CHECK_AVX_VNNI'] : [],
  'kernels/avx512vnni.cc': [...avx2, ...['f', 'bw', 'vl', 'dq', 'vnni', 'vbmi'].map((set) => `-mavx512${set}`)],
  'products/avx2.cc': avx2,
  'training/elementwise_avx2.cc': avx2,
  'training/elementwise_avx512.cc': [...avx2, ...['f', 'bw', 'vl', 'dq'].map((set) => `-mavx512${set}`)],
  'products/avx512.cc': [...avx2, ...['f', 'bw', 'vl', 'dq'].map((set) => `-mavx512${set}`)],
  'products/avx512bf16.cc': [...avx2, ...['f', 'bw', 'vl', 'dq', 'bf16'].map((set) => `-mavx512${set}`)],
  'kernels/neondot.cc': ['-march=armv8.2-a+dotprod+fp16'],
};
const foreign = process.arch === 'x64' ? /neon/ : /avx/;

function canSanitise(): boolean {
  const probe = spawnSync(
    compiler,
    ['-xc++', '-fsanitize=address,undefined', '-', '-o', join(tmpdir(), `tritsmith-probe-${process.pid}`)],
    {
      input: 'int main() { return 0; }',
    },
  );
  rmSync(join(tmpdir(), `tritsmith-probe-${process.pid}`), { force: true });
  return probe.status === 0 && process.platform !== 'win32';
}

/** The check program with ASan and UBSan, built once for these sources. */
function program(): string {
  const sources = ['threads', 'kernels', 'products', 'runtime', 'training', 'checks']
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
    .filter(
      (path) =>
        /\.(cc|h)$/.test(path) && !/binding\.cc$|training\/(?!elementwise)/.test(path) && !foreign.test(basename(path)),
    )
    .sort();
  const hash = createHash('sha256').update(compiler + common.join(' '));
  for (const path of sources) hash.update(path).update(readFileSync(join(root, path)));
  const folder = join(root, 'build', 'sanitizers', hash.digest('hex').slice(0, 16));
  const binary = join(folder, 'main');
  if (existsSync(binary)) return binary;
  rmSync(join(root, 'build', 'sanitizers'), { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const compile = (path: string) =>
    [
      compiler,
      ...common,
      ...(flags[path] ?? []),
      '-I.',
      '-c',
      path,
      '-o',
      join(folder, `${path.replaceAll('/', '_')}.o`),
    ]
      .map((part) => `'${part}'`)
      .join(' ');
  const list = sources.filter((path) => path.endsWith('.cc'));
  const script = `set -e\nprintf '%s\\n' ${list.map((path) => `"${compile(path)}"`).join(' ')} | xargs -P 2 -I{} sh -c '{}'
${compiler} ${common.join(' ')} '${folder}'/*.o -o '${binary}.partial' -lpthread && mv '${binary}.partial' '${binary}'`;
  const build = spawnSync('sh', ['-c', script], { cwd: root, encoding: 'utf8' });
  if (build.status !== 0) throw new Error(build.stderr);
  return binary;
}

const run = (args: string[]) => {
  const result = spawnSync(program(), args, {
    encoding: 'utf8',
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=1' },
  });
  return { status: result.status, text: result.stdout + result.stderr };
};

describe.skipIf(!canSanitise())('with ASan and UBSan', () => {
  it('the kernels stay in bounds and exact', () => {
    expect(run(['kernels'])).toEqual({ status: 0, text: '0 wrong products\n' });
  });

  it('some 3000 mutated GGUF files are refused or run, and never read out of bounds', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tritsmith-fuzz-'));
    const small: StudentShape = {
      architecture: 'llama',
      width: 64,
      layers: 1,
      ffn: 128,
      heads: 4,
      kvHeads: 2,
      headDim: 16,
      vocabulary: 40,
      context: 64,
      ropeBase: 10000,
    };
    const file: StudentFile = { weights: 'i2_s', table: 'f16', tied: true, subln: 'none', seed: 1 };
    const kinds: [StudentShape, StudentFile][] = [
      [small, file],
      [
        { ...small, architecture: 'qwen3', headDim: 32 },
        { ...file, subln: 'all', table: 'q8_0' },
      ],
      [
        { ...small, architecture: 'bitnet', width: 256, ffn: 256, headDim: 64 },
        { ...file, weights: 'tq2_0', table: 'q6_k' },
      ],
      [
        { ...small, architecture: 'qwen2' },
        { ...file, weights: 'f16', tied: false, ropeFactors: true },
      ],
      [
        { ...small, architecture: 'bitnet-b1.58', width: 256, ffn: 256, headDim: 64 },
        { ...file, weights: 'tq1_0' },
      ],
      [small, { ...file, weights: 'q4_0', table: 'q4_0' }],
      [small, { ...file, weights: 'q2_0' }],
      [
        { ...small, width: 100, ffn: 76, headDim: 50 },
        { ...file, weights: 't3_4' },
      ],
      [
        { ...small, width: 50, ffn: 70 },
        { ...file, subln: 'all' },
      ],
    ];
    const paths = kinds.map(([shape, kind], i) => {
      const path = join(folder, `${i}.gguf`);
      writeStudent(path, shape, kind);
      return path;
    });
    // As many of each kind.
    const mutated = 334 * paths.length;
    const { status, text } = run(['fuzz', String(mutated), ...paths]);
    rmSync(folder, { recursive: true });
    expect(text).toMatch(new RegExp(`^${mutated} mutated files, \\d+ of them loaded\n$`));
    expect(status).toBe(0);
    // Mutations of both kinds are wanted: refused ones, and ones that get through to the arithmetic.
    const loaded = Number(/(\d+) of them/.exec(text)![1]);
    expect(loaded).toBeGreaterThan(200);
    expect(loaded).toBeLessThan(2500);
  });
});
