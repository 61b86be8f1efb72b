import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { instructionSets, isProgram } from './doctor.ts';

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

describe.skipIf(process.platform === 'win32')('a program', () => {
  it('is one that may be started from the PATH', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tritsmith-doctor-'));
    try {
      writeFileSync(join(folder, 'ssh'), '', { mode: 0o755 });
      writeFileSync(join(folder, 'mpirun'), '', { mode: 0o644 });
      expect(isProgram('ssh', `/nowhere:${folder}`)).toBe(true);
      // Root may read, but not start it.
      expect(isProgram('mpirun', folder)).toBe(false);
      expect(isProgram('ssh', '')).toBe(false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
