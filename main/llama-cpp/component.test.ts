/** llama.cpp as a component: nothing without being asked, nothing left when it fails, and the file itself decides what is said of it. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { mountSmallDisk, noSmallDisk } from '../testing/small-disk.ts';
import { startLlamaCpp } from './client.ts';
import { findLlamaCpp, llamaCppState, requireLlamaCpp } from './component.ts';
import { llamaCppForTests, needsLlamaCpp } from '../testing/llama-cpp.ts';
import { installLlamaCpp } from './install.ts';

const component = llamaCppForTests();

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tritsmith-component-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

describe('where it is not installed', () => {
  it('is not found, and says how to get it', () => {
    expect(findLlamaCpp(folder)).toBeNull();
    expect(llamaCppState(folder).installed).toBe(false);
    expect(() => requireLlamaCpp(folder)).toThrow(
      expect.objectContaining({ code: 'not-found', remedy: 'tritsmith components install llama.cpp' }),
    );
  });

  it('is looked for in the folder that TRITSMITH_COMPONENTS names', () => {
    vi.stubEnv('TRITSMITH_COMPONENTS', folder);
    expect(llamaCppState().folder).toBe(join(folder, 'llama.cpp-3.22.1'));
  });

  it('an installation without a network fails with a plain sentence and leaves nothing', async () => {
    vi.stubEnv('npm_config_registry', 'http://127.0.0.1:9/');
    vi.stubEnv('npm_config_fetch_retries', '0');
    vi.stubEnv('npm_config_cache', join(folder, 'cache'));
    const components = join(folder, 'components');
    await expect(installLlamaCpp(undefined, undefined, components)).rejects.toMatchObject({
      code: 'not-found',
      reason: 'The package registry could not be reached.',
    });
    expect(await readdir(components)).toEqual([]);
  });

  it('an installation on a full disk says so and leaves nothing', async () => {
    const disk = mountSmallDisk(1);
    if (disk === null) return void process.stdout.write(`${noSmallDisk}\n`);
    try {
      disk.fill(8192);
      const components = join(disk.folder, 'components');
      await expect(installLlamaCpp(undefined, undefined, components)).rejects.toMatchObject({
        code: 'no-space',
        message: expect.stringContaining('The disk is full') as string,
        remedy: expect.stringMatching(/^Free /) as string,
      });
      expect(await readdir(components)).toEqual([]);
    } finally {
      disk.unmount();
    }
  });

  it('what npm could not write whole is not taken for installed, although npm ends with 0', async () => {
    const npm = join(folder, 'npm-cli.mjs');
    // The words of npm 11 on a disk that became full while it unpacked.
    const warning = 'npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write';
    await writeFile(npm, `console.error(${JSON.stringify(warning)});`);
    vi.stubEnv('npm_execpath', npm);
    const components = join(folder, 'components');
    await expect(installLlamaCpp(undefined, undefined, components)).rejects.toMatchObject({ code: 'no-space' });
    expect(await readdir(components)).toEqual([]);
  });

  it('a cancelled installation leaves nothing', async () => {
    vi.stubEnv('npm_config_cache', join(folder, 'cache'));
    const components = join(folder, 'components');
    const stop = new AbortController();
    const installing = installLlamaCpp(() => stop.abort(), stop.signal, components);
    await expect(installing).rejects.toMatchObject({ code: 'stopped' });
    expect(await readdir(components)).toEqual([]);
  });
});

describe.skipIf(component === null)(`a file that it does not load ${needsLlamaCpp}`, () => {
  it("is refused with llama.cpp's own words", async () => {
    const path = join(folder, 'no.gguf');
    // Version 3, no tensors, no keys.
    const header = Buffer.alloc(32);
    header.write('GGUF');
    header.writeUInt32LE(3, 4);
    await writeFile(path, header);
    await expect(startLlamaCpp(component!, path)).rejects.toMatchObject({
      code: 'unsupported',
      reason: expect.stringMatching(/llama_model_load|architecture/),
    });
  });
});
