import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { writeFileAtomically } from './atomic-file.ts';
import { writeJsonAtomically } from './json-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'tritsmith-atomic-'));
afterAll(() => rmSync(folder, { recursive: true }));

it.skipIf(process.platform === 'win32')(
  'notes of the workbench are for their owner alone, also in place of others',
  () => {
    const path = join(folder, 'note.json');
    writeFileSync(path, 'old');
    chmodSync(path, 0o644);
    writeJsonAtomically(path, { a: 1 });
    expect(readFileSync(path, 'utf8')).toBe('{\n  "a": 1\n}\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['note.json']);
    rmSync(path);
  },
);

it('leave what was there, and nothing else, where they cannot be written', async () => {
  // A folder stands under the target's name: the rename fails after everything was written.
  const target = join(folder, 'taken');
  const inside = join(target, 'kept');
  mkdirSync(target);
  writeFileSync(inside, 'kept');
  expect(() => writeJsonAtomically(target, {})).toThrow();
  await expect(writeFileAtomically(target, 'text')).rejects.toThrow();
  expect(readdirSync(folder)).toEqual(['taken']);
  expect(readFileSync(inside, 'utf8')).toBe('kept');
});
