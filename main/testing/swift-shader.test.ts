/** Where tests look for a card that needs no card. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findSwiftShader, foldersWithSwiftShader } from './swift-shader.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tritsmith-swift-shader-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

it('is a folder with the driver, what tells of it and the loader, beside the browser that a link may stand for', () => {
  const folder = join(root, 'browser');
  mkdirSync(folder);
  const names = ['chrome', 'vk_swiftshader_icd.json', 'libvk_swiftshader.so', 'libvulkan.so.1'];
  for (const name of names) {
    expect(foldersWithSwiftShader([root, folder])).toEqual([]);
    writeFileSync(join(folder, name), '');
  }
  expect(foldersWithSwiftShader([root, folder])).toEqual([folder]);
  symlinkSync(join(folder, 'chrome'), join(root, 'chrome'));
  // An installed package comes first, so that every machine that has it computes the same.
  expect(findSwiftShader(join(root, 'chrome'))).toBe(
    foldersWithSwiftShader(['/usr/lib/chromium', '/opt/google/chrome'])[0] ?? folder,
  );
  expect(findSwiftShader(join(root, 'absent'))).not.toBe(folder);
});
