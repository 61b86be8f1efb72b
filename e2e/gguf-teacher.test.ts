/** A GGUF file as the teacher: picked in the wizard from a folder, and from a repository of the Hub that holds only GGUF files. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { type HubServer, startHubServer } from '../main/hub/fixtures/hub-server.ts';
import { modelConfiguration } from '../main/models/open-model.ts';
import { writeGgufModel } from '../main/pipeline/export/gguf-file.ts';
import { openTensorSource } from '../main/pipeline/export/tensor-source.ts';
import { findViolations, overflow } from './accessibility.ts';
import { root, screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const demo = join(root, 'resources', 'demo');
const base = join(demo, 'teacher');
let hub: HubServer;
let repository: string;

/** The demo's base in another number of bits. */
async function writeFile(path: string, linear: 'F16' | 'Q8_0' | 'Q4_0'): Promise<void> {
  const configuration = await modelConfiguration(base);
  const tensors = await openTensorSource(base, configuration);
  const model = { name: 'Demo base', configuration, tensors, tokenizer: base };
  await writeGgufModel(path, model, { linear, embedding: linear === 'F16' ? 'F16' : 'Q8_0' });
  await tensors.close();
}

const scene = openScene({
  async prepare(folder) {
    repository = join(folder, 'repository');
    mkdirSync(repository);
    await writeFile(join(folder, 'demo-base.gguf'), 'Q4_0');
    for (const type of ['F16', 'Q8_0'] as const) await writeFile(join(repository, `demo-${type}.gguf`), type);
    hub = await startHubServer([
      {
        id: 'acme/demo-GGUF',
        folder: repository,
        family: 'other',
        downloads: 12,
        tags: ['license:mit'],
        gguf: { architecture: 'qwen3', total: 984_000, context_length: 256 },
      },
    ]);
    // Inherited by the workbench that the scene starts.
    process.env['HF_ENDPOINT'] = hub.endpoint;
    process.env['HF_TOKEN'] = '';
  },
});
afterAll(async () => {
  await hub.close();
});

const button = (name: string | RegExp) => scene.page.getByRole('button', { name });
const field = () => scene.page.getByRole('textbox', { name: 'Model folder or GGUF file' });

describeInBrowser('a GGUF file as the teacher', () => {
  it('is picked from a folder, and its card says how many bits it has', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await field().fill(join(scene.folder, 'nothing-here'));
    await field().blur();
    await page.getByRole('heading', { name: 'This model cannot be used' }).waitFor();
    await button('Browse…').click();
    await page.getByRole('dialog').getByRole('button', { name: 'demo-base.gguf' }).waitFor();
    await screenshot(page, 'gguf-picker');
    await page.getByRole('dialog').getByRole('button', { name: 'demo-base.gguf' }).click();
    await page.getByText(/Its weights are quantised to \d\.\d bits \(F32, Q4_0, Q8_0\)/).waitFor();
    await page.getByText('Qwen3', { exact: true }).waitFor();
    expect(await field().inputValue()).toBe(join(scene.folder, 'demo-base.gguf'));
    expect(await findViolations(page)).toEqual([]);
    expect(await overflow(page)).toBe(0);
    await screenshot(page, 'gguf-teacher');
    await page.emulateMedia({ colorScheme: 'dark' });
    await screenshot(page, 'gguf-teacher-dark');
    await page.emulateMedia({ colorScheme: null });
  });

  it('counts the tokens of the rows with its own tokenizer', async () => {
    const { page } = scene;
    await button('Next').click();
    const rows = page.getByRole('textbox', { name: 'Training rows', exact: true });
    await rows.fill(join(demo, 'task', 'dev.tsv'));
    await rows.blur();
    const preview = page.getByTestId('preview').locator('tbody tr').first();
    await preview.waitFor();
    expect(await preview.locator('td').last().textContent()).toMatch(/^\d+ of \d+$/);
    await page
      .getByText(/^[\d,]+ of [\d,]+ rows can be used\.$/)
      .first()
      .waitFor();
  });

  it('is chosen among the files of a repository, downloaded, and used', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await button('Search the Hub').click();
    await page.getByRole('searchbox', { name: 'Name or part of it' }).fill('demo');
    await button('Search').last().click();
    await button('Look closer at acme/demo-GGUF').click();
    const files = page.getByTestId('hub-model').getByLabel('File');
    await files.waitFor();
    expect(await files.inputValue()).toBe('acme/demo-GGUF/demo-Q8_0.gguf');
    await files.selectOption('acme/demo-GGUF/demo-F16.gguf');
    await button(/^Download 2\.\d+ MB$/).waitFor();
    expect(await findViolations(page)).toEqual([]);
    await screenshot(page, 'hub-gguf');
    await button(/^Download 2\.\d+ MB$/).click();
    const target = join(scene.workspace, 'teachers', 'acme--demo-GGUF--demo-F16.gguf', 'demo-F16.gguf');
    await expect.poll(() => existsSync(target)).toBe(true);
    await expect.poll(() => field().inputValue()).toBe(target);
    expect(statSync(target).size).toBe(statSync(join(repository, 'demo-F16.gguf')).size);
    await page.getByText('What the student will weigh').waitFor();
  });
});
