/**
 * `npm run bench -- kernel [--threads 1,2] [--json]`: the ternary product for one token (GEMV) against the measured memory bandwidth, and for many
 * (GEMM) against the integer peak, for every kernel of this processor and its layouts, with the time of each beside that of 2 bits.
 */
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { availableKernels, measureMachine, TernaryMatrix, type KernelName } from '../native/runtime.ts';
import { median } from '../main/basics/numbers.ts';
import { loadNote, table } from './table.ts';

export interface KernelRun {
  kernel: KernelName;
  layout: (typeof layouts)[number];
  threads: number;
  rows: number;
  columns: number;
  tokens: number;
  weightBytesPerSecond: number;
  multiplyAddsPerSecond: number;
  shareOfBandwidth: number;
  shareOfIntegerPeak: number;
  /** How many times as fast as with 2 bits a weight. */
  against2Bit: number;
}

const layouts = ['2bit', '1.6bit', '1.25bit'] as const;

/** Layouts beside 2 bits that a kernel has code of its own for; it decodes others in plain code: correct, and never chosen. */
const ownLayouts: Partial<Record<KernelName, readonly (typeof layouts)[number][]>> = {
  'avx512-vnni': ['1.6bit', '1.25bit'],
  'avx-vnni': ['1.25bit'],
  avx2: ['1.25bit'],
};

const shapes = [
  // Larger than the caches, so that one token has to stream it from memory.
  { rows: 65_536, columns: 4096, tokens: [1] },
  { rows: 4096, columns: 1536, tokens: [12, 48, 128] },
  { rows: 1536, columns: 4096, tokens: [128] },
];

/** Median speed of each case over `rounds` rounds; the machine's limits are measured beside it. */
export function measureKernels(threadCounts: number[], rounds: number): KernelRun[] {
  const runs: KernelRun[] = [];
  for (const { rows, columns, tokens: tokenCounts } of shapes) {
    const weights = new Int8Array(rows * columns);
    // One of each four is 0, as 1.25 bits need it.
    for (let four = 0; four < weights.length; four += 4) {
      const bits = Math.imul(four + 1, 2654435761) >>> 20;
      for (let i = 0; i < 4; i++) weights[four + i] = i === (bits & 3) ? 0 : (bits >>> (2 + i)) & 1 ? 1 : -1;
    }
    for (const kernel of availableKernels())
      for (const threads of threadCounts) {
        if (kernel === 'portable' && rows > 10_000) continue;
        const matrices = layouts
          .filter((layout) => layout === '2bit' || ownLayouts[kernel]?.includes(layout))
          .map((layout) => ({
            layout,
            matrix: new TernaryMatrix(weights, { rows, columns, kernel, layout, threads }),
            seconds: [] as number[],
          }));
        for (const tokens of tokenCounts) {
          const x = new Float32Array(tokens * columns).fill(0.5);
          const y = new Float32Array(tokens * rows);
          const limits = measureMachine(threads, kernel);
          for (const each of matrices) each.seconds = [];
          // In turn, so that what else the machine does is the same for all.
          for (let round = 0; round < rounds; round++)
            for (const { matrix, seconds } of matrices) {
              const started = performance.now();
              matrix.multiply(x, y, tokens);
              seconds.push((performance.now() - started) / 1000);
            }
          for (const { layout, matrix, seconds } of matrices) {
            const time = median(seconds);
            const products = (rows * columns * tokens) / time;
            runs.push({
              kernel,
              layout,
              threads,
              rows,
              columns,
              tokens,
              weightBytesPerSecond: matrix.bytes / time,
              multiplyAddsPerSecond: products,
              shareOfBandwidth: matrix.bytes / time / limits.memoryBandwidthBytesPerSecond,
              shareOfIntegerPeak:
                limits.integerMultiplyAddsPerSecond === 0 ? 0 : products / limits.integerMultiplyAddsPerSecond,
              against2Bit: median(matrices[0]!.seconds) / time,
            });
          }
        }
      }
  }
  return runs;
}

export function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      threads: { type: 'string', default: '1,2' },
      rounds: { type: 'string', default: '15' },
      json: { type: 'boolean', default: false },
    },
  });
  const runs = measureKernels(values.threads.split(',').map(Number), Number(values.rounds));
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ runs, loadAverage: loadavg()[0], cores: cpus().length }, null, 2)}\n`);
    return Promise.resolve();
  }
  const percent = (share: number) => (share === 0 ? '' : `${(share * 100).toFixed(0)} %`);
  const rows = [
    [
      'kernel',
      'layout',
      'threads',
      'matrix',
      'tokens',
      'GB/s',
      'of bandwidth',
      'GMAC/s',
      'of integer peak',
      'times as fast as 2bit',
    ],
    ...runs.map((r) => [
      r.kernel,
      r.layout,
      String(r.threads),
      `${r.rows} x ${r.columns}`,
      String(r.tokens),
      (r.weightBytesPerSecond / 1e9).toFixed(1),
      percent(r.tokens === 1 ? r.shareOfBandwidth : 0),
      (r.multiplyAddsPerSecond / 1e9).toFixed(1),
      percent(r.tokens === 1 ? 0 : r.shareOfIntegerPeak),
      r.against2Bit.toFixed(2),
    ]),
  ];
  process.stdout.write(
    `${table(rows)}\n${loadNote(loadavg()[0]!, cpus().length, Math.max(...runs.map((r) => r.threads)))}\n`,
  );
  return Promise.resolve();
}
