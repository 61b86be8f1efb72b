import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { instructionSets } from './doctor.ts';

describe('what the kernels care about', () => {
  it('is read from /proc/cpuinfo', () => {
    const cpuinfo = 'processor\t: 0\nflags\t\t: fpu avx2 fma f16c avx_vnni\nbugs\t\t: none\n';
    expect(instructionSets(cpuinfo, ['portable'])).toEqual(['AVX2', 'FMA', 'F16C', 'AVX-VNNI']);
    expect(instructionSets('Features\t: asimd asimddp\n', [])).toEqual(['NEON', 'DOTPROD']);
  });

  it('is what the kernels that run here say where there is no such file, as on Windows', () => {
    expect(instructionSets('', ['avx2', 'portable'])).toEqual(['AVX2']);
    expect(instructionSets('', ['avx512-vnni', 'avx2', 'portable'])).toEqual(['AVX2', 'AVX-512 VNNI']);
    expect(instructionSets('', [])).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')(
    'is the same by both ways on this machine, as far as kernels go',
    async () => {
      const { availableKernels } = await import('../../../native/runtime.ts');
      const byFile = instructionSets(readFileSync('/proc/cpuinfo', 'utf8'), []);
      for (const name of instructionSets('', availableKernels())) expect(byFile).toContain(name);
    },
  );
});
