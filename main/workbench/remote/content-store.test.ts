import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ContentStore } from './content-store.ts';

let folder: string;
let store: ContentStore;
const text = Buffer.from('what is in the file');
const content = { sha256: createHash('sha256').update(text).digest('hex'), bytes: text.length };
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tritsmith-contents-'));
  store = new ContentStore(folder);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function* pieces(...parts: Buffer[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(part);
}

describe('contents', () => {
  it('arrive in parts, and are there only when they are whole', async () => {
    expect(store.present(content)).toBe(0);
    expect(await store.take(content, 0, pieces(text.subarray(0, 3), text.subarray(3, 8)))).toBe('part');
    expect(store.present(content)).toBe(8);
    expect(readdirSync(folder)).toEqual([`${content.sha256}.part`]);
    expect(await store.take(content, 8, pieces(text.subarray(8)))).toBe('whole');
    expect(readdirSync(folder)).toEqual([content.sha256]);
    expect(readFileSync(store.pathOf(content.sha256))).toEqual(text);
    expect(store.present(content)).toBe(text.length);
  });

  it('that are others than announced leave nothing', async () => {
    await store.take(content, 0, pieces(Buffer.from('quite')));
    expect(await store.take(content, 5, pieces(text.subarray(5)))).toBe('damaged');
    expect(readdirSync(folder)).toEqual([]);
    expect(store.present(content)).toBe(0);
  });

  it('may be empty', async () => {
    const empty = { sha256: createHash('sha256').digest('hex'), bytes: 0 };
    expect(await store.take(empty, 0, pieces())).toBe('whole');
    expect(readFileSync(store.pathOf(empty.sha256))).toHaveLength(0);
  });

  it('come twice at once without harm', async () => {
    const both = await Promise.all([
      store.take(content, 0, pieces(text.subarray(0, 4), text.subarray(4))),
      store.take(content, 0, pieces(text.subarray(0, 9), text.subarray(9))),
    ]);
    expect(both).toEqual(['whole', 'whole']);
    expect(readFileSync(store.pathOf(content.sha256))).toEqual(text);
  });
});
