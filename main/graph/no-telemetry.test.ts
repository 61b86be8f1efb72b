/** ONNX Runtime's own record of what is done with it, which it would send to its makers, is not begun. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('leaves nothing in the folder of the user', () => {
  const home = mkdtempSync(join(tmpdir(), 'tritsmith-home-'));
  try {
    const [cases, check] = ['./operation-cases.ts', './gradient-check.ts'].map(
      (name) => new URL(name, import.meta.url),
    );
    const script = `const { operationCases } = await import('${String(cases)}');
      const { prepareCase } = await import('${String(check)}');
      await (await prepareCase(operationCases[0], false, { threads: 1 })).runForward();
      console.log('ran');`;
    const env = { PATH: process.env['PATH'], HOME: home, TMPDIR: home };
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      env,
      encoding: 'utf8',
    });
    expect(stdout, stderr).toBe('ran\n');
    expect(readdirSync(home, { recursive: true })).toEqual([]);
  } finally {
    rmSync(home, { recursive: true });
  }
});
