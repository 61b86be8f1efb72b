import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modelName } from '../contract/local-path.ts';
import { cachedModels, hubCacheFolder, isModelFolder, modelFolder } from './hub-cache.ts';

const first = 'a'.repeat(40);
const second = 'b'.repeat(40);
let hub: string;
let model: string;
beforeEach(() => {
  hub = realpathSync(mkdtempSync(join(tmpdir(), 'tritsmith-cache-')));
  model = join(hub, 'models--acme--tiny');
  for (const name of ['refs', 'blobs']) mkdirSync(join(model, name), { recursive: true });
});
afterEach(() => {
  rmSync(hub, { recursive: true, force: true });
});

/** As huggingface_hub lays it out. */
function snapshot(commit: string, files: Record<string, string> = { 'config.json': '{}' }): string {
  const folder = join(model, 'snapshots', commit);
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    const blob = `${commit.slice(0, 4)}-${name}`;
    writeFileSync(join(model, 'blobs', blob), text);
    symlinkSync(join('..', '..', 'blobs', blob), join(folder, name));
  }
  return folder;
}
const main = (commit: string): void => {
  writeFileSync(join(model, 'refs', 'main'), `${commit}\n`);
};

// Symbolic links need a right on Windows that tests do not have; its cache holds copies.
describe.skipIf(process.platform === 'win32')("a model in the cache of Hugging Face's own programs", () => {
  it('is the snapshot of main', () => {
    const [old, current] = [snapshot(first), snapshot(second)];
    main(second);
    expect(modelFolder(model)).toBe(current);
    expect(modelFolder(old)).toBe(old);
    expect(modelName(current)).toBe('acme/tiny');
  });

  it('is its only snapshot where main is not known', () => {
    const only = snapshot(first);
    expect(modelFolder(model)).toBe(only);
    main(second);
    expect(modelFolder(model)).toBe(only);
  });

  it('is refused where nothing says which snapshot it is, or there is none', () => {
    mkdirSync(join(model, 'snapshots'));
    expect(() => modelFolder(model)).toThrow(expect.objectContaining({ id: 'hub-cache.no-snapshot' }) as Error);
    snapshot(first);
    snapshot(second);
    expect(() => modelFolder(model)).toThrow(expect.objectContaining({ id: 'hub-cache.no-snapshot' }) as Error);
    main('../../../outside');
    expect(() => modelFolder(model)).toThrow(expect.objectContaining({ id: 'hub-cache.no-snapshot' }) as Error);
  });

  it('may not lead out of its own blobs', () => {
    const folder = snapshot(first);
    writeFileSync(join(hub, 'secret'), 'secret');
    symlinkSync(join('..', '..', '..', 'secret'), join(folder, 'README.md'));
    for (const path of [model, folder])
      expect(() => modelFolder(path)).toThrow(
        expect.objectContaining({ id: 'hub-cache.link-leads-out', params: { folder, name: 'README.md' } }) as Error,
      );
    expect(isModelFolder(model)).toBe(false);
  });

  it('is refused where a blob is missing', () => {
    const folder = snapshot(first, { 'config.json': '{}', 'model.safetensors': 'weights' });
    rmSync(join(model, 'blobs', 'aaaa-model.safetensors'));
    expect(() => modelFolder(folder)).toThrow(expect.objectContaining({ id: 'hub-cache.lacks-blob' }) as Error);
  });

  it('is listed by its name on the Hub', () => {
    snapshot(first);
    mkdirSync(join(hub, 'models--acme--empty', 'snapshots'), { recursive: true });
    mkdirSync(join(hub, 'datasets--acme--rows', 'snapshots'), { recursive: true });
    expect(cachedModels(hub)).toEqual([{ id: 'acme/tiny', folder: model }]);
    expect(cachedModels(null)).toEqual([]);
  });
});

it('leaves every other folder as it is', () => {
  expect(modelFolder(hub)).toBe(hub);
  expect(modelFolder(join(hub, 'nowhere'))).toBe(join(hub, 'nowhere'));
  expect(modelName('/models/Qwen3-0.6B')).toBe('Qwen3-0.6B');
});

it('lies where the environment says', () => {
  mkdirSync(join(hub, 'hub'));
  expect(hubCacheFolder({ HF_HUB_CACHE: join(hub, 'hub'), HF_HOME: '/nowhere' })).toBe(join(hub, 'hub'));
  expect(hubCacheFolder({ HF_HOME: hub })).toBe(join(hub, 'hub'));
  expect(hubCacheFolder({ HF_HOME: join(hub, 'nowhere') })).toBeNull();
});
