/** What else may lie in a model folder under the names that are copied: pipes, devices, folders, files without end. */
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyCompanion, folderCompanions, readModelSettings } from './companion-files.ts';

let source: string;
let target: string;
beforeEach(() => {
  source = mkdtempSync(join(tmpdir(), 'tritsmith-companions-'));
  target = join(source, 'copy');
  mkdirSync(target);
});
afterEach(() => rmSync(source, { recursive: true, force: true }));

const refused = { code: 'bad-input' };

describe('files that travel with a model', () => {
  it('are copied byte by byte, through a link too', async () => {
    writeFileSync(join(source, 'blob'), '{"a": 1.0}\r\n');
    symlinkSync('blob', join(source, 'tokenizer.json'));
    await copyCompanion(await folderCompanions(source), target, 'tokenizer.json');
    expect(readFileSync(join(target, 'tokenizer.json'), 'utf8')).toBe('{"a": 1.0}\r\n');
  });

  it('are refused without being read when they are no files or too large', async () => {
    mkdirSync(join(source, 'merges.txt'));
    await expect(copyCompanion(await folderCompanions(source), target, 'merges.txt')).rejects.toMatchObject(refused);
    writeFileSync(join(source, 'vocab.json'), '');
    truncateSync(join(source, 'vocab.json'), 2 ** 40);
    await expect(copyCompanion(await folderCompanions(source), target, 'vocab.json')).rejects.toMatchObject(refused);
    await expect(readModelSettings(source, 'vocab.json')).rejects.toMatchObject(refused);
    expect(readdirSync(target)).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')('are refused at once when they are pipes or devices', async () => {
    execFileSync('mkfifo', [join(source, 'LICENSE'), join(source, 'config.json')]);
    symlinkSync('/dev/zero', join(source, 'generation_config.json'));
    await expect(copyCompanion(await folderCompanions(source), target, 'LICENSE')).rejects.toMatchObject(refused);
    await expect(readModelSettings(source, 'config.json')).rejects.toMatchObject(refused);
    await expect(readModelSettings(source, 'generation_config.json')).rejects.toMatchObject(refused);
  });
});
