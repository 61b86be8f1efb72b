import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { native } from '../native/index.ts';
import { availableKernels } from '../native/runtime.ts';
import { canHideInstructions, environmentAs, type HiddenProcessor } from './as-processor.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What a process prints that finds this processor. */
function found(processor: HiddenProcessor, code: string) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...environmentAs(processor) },
  });
  return { status, signal, stdout, stderr };
}

const sets = `
  import { availableKernels } from './native/runtime.ts';
  import { native } from './native/index.ts';
  console.log(JSON.stringify([availableKernels(), native.productSets()]));`;

describe.skipIf(!canHideInstructions())(
  'a process that finds a lesser processor (skipped without CPUID faulting)',
  () => {
    it.each(['avx2', 'avx-vnni'] as const)('%s: no wider kernels, and all others', (processor) => {
      const { stdout, stderr } = found(processor, sets);
      expect(stderr).toBe('');
      const hidden = processor === 'avx2' ? /^avx512|^avx-vnni/ : /^avx512/;
      const left = (names: readonly string[]): string[] => names.filter((name) => !hidden.test(name));
      const [kernels, products] = JSON.parse(stdout) as [string[], string[]];
      expect(kernels).toEqual(left(availableKernels()));
      expect(new Set(products)).toEqual(new Set(left(native.productSets())));
    });

    it('is hidden from threads and from processes that it starts as well', () => {
      const code = `
      import { Worker } from 'node:worker_threads';
      import { spawnSync } from 'node:child_process';
      const script = ${JSON.stringify(sets)};
      const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
      process.stdout.write(child.stdout);
      new Worker(script, { eval: true, execArgv: ['--input-type=module'] });`;
      const lines = found('avx2', code).stdout.trim().split('\n');
      expect(lines).toHaveLength(2);
      for (const line of lines) expect((JSON.parse(line) as string[][])[0]!.join()).not.toMatch(/avx512|vnni/);
    });

    it('ends by a fault of its own as others do', () => {
      expect(found('avx2', "process.kill(process.pid, 'SIGSEGV'); setInterval(() => {}, 1000);").signal).toBe(
        'SIGSEGV',
      );
    });
  },
);
