/** `npm run bench -- <name> [options]`: one file per benchmark, each prints a table, or JSON with `--json`. */
const benchmarks: Record<string, () => Promise<{ run: (args: string[]) => Promise<void> }>> = {
  kernel: () => import('./kernel.ts'),
  inference: () => import('./inference.ts'),
  training: () => import('./training.ts'),
  fidelity: () => import('./fidelity.ts'),
  'make-base': () => import('./make-base.ts'),
  memory: () => import('./memory.ts'),
  real: () => import('./real.ts'),
  quantisers: () => import('./quantisers.ts'),
  estimate: () => import('./estimate.ts'),
  ranks: () => import('./ranks.ts'),
  agreement: () => import('./agreement.ts'),
  serving: () => import('./serving.ts'),
  interface: () => import('./interface.ts'),
  pictures: () => import('./pictures.ts'),
  faults: () => import('./faults.ts'),
  load: () => import('./load.ts'),
  fuzz: () => import('./fuzz.ts'),
  'gpu-parity': () => import('./gpu-parity.ts'),
  'as-processor': () => import('./as-processor.ts'),
};

const [name = '', ...args] = process.argv.slice(2);
const load = benchmarks[name];
if (load === undefined) {
  process.stderr.write(`Usage: npm run bench -- <${Object.keys(benchmarks).join(' | ')}> [options]\n`);
  process.exitCode = 1;
} else {
  await (await load()).run(args);
}
