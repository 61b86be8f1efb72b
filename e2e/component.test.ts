/** llama.cpp by its button: the real npm, and a registry on loopback that is first out of reach and then there. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findViolations } from './accessibility.ts';
import { root, screenshot } from './harness.ts';
import { registryOf } from './registry.ts';
import { makeSampleWorkspace } from './sample-workspace.ts';
import { describeInBrowser, openScene } from './scene.ts';

// The installation for all tests leaves its packages in npm's cache.
const registry = await registryOf(join(root, 'resources', 'llama-cpp', 'package-lock.json'));
const scene = openScene({
  prepare: async (folder) => {
    await makeSampleWorkspace(join(folder, 'workspace'), [
      { name: 'Tickets', steps: 2, accuracy: 0.9, fileBytes: 3e6 },
    ]);
    // The specs of a file have a process of their own; the workbench inherits this.
    Object.assign(process.env, {
      TRITSMITH_COMPONENTS: join(folder, 'components'),
      npm_config_cache: join(folder, 'npm-cache'),
      npm_config_registry: registry?.url,
      npm_config_fetch_retries: '0',
    });
  },
});
afterAll(() => registry?.close());
const installed = (): string[] =>
  existsSync(join(scene.folder, 'components')) ? readdirSync(join(scene.folder, 'components')) : [];

(registry === null ? describe.skip : describeInBrowser)(
  "the download of llama.cpp (skipped where npm's cache lacks its packages)",
  () => {
    it('is only offered, and without a network says in plain words that it cannot be had', async () => {
      const { page } = scene;
      await page.getByRole('link', { name: 'Benchmarks' }).click();
      const offer = page.getByTestId('install-llama.cpp');
      await offer.getByText('downloaded from the npm registry when you press the button', { exact: false }).waitFor();
      expect(installed()).toEqual([]);
      await offer.getByRole('button', { name: 'Download llama.cpp' }).click();
      await offer.getByText('llama.cpp could not be installed.').waitFor();
      await offer.getByText('The package registry could not be reached.', { exact: false }).waitFor();
      await offer.getByText('Everything else works without it.', { exact: false }).waitFor();
      expect(await findViolations(page)).toEqual([]);
      await screenshot(page, 'llama-offline');
      expect(installed()).toEqual([]);
    });

    it('succeeds at the next press when the registry is there, and the page goes on with it', async () => {
      const { page } = scene;
      registry!.reachable = true;
      const offer = page.getByTestId('install-llama.cpp');
      await offer.getByRole('button', { name: 'Download llama.cpp' }).click();
      await offer.waitFor({ state: 'hidden' });
      const [folder] = installed();
      expect(existsSync(join(scene.folder, 'components', folder!, 'node_modules', 'node-llama-cpp'))).toBe(true);
      expect(installed()).toHaveLength(1);
      expect(scene.allComplaints()).toEqual([]);
    });
  },
);
