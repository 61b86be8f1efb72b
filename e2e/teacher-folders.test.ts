/** Model folders as people have them, in the wizard: refused in words, merged with their base, found in the cache of Hugging Face. */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeTinyAdapter } from '../main/models/fixtures/tiny-adapter.ts';
import { findViolations, overflow } from './accessibility.ts';
import { root, screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const teacher = join(root, 'resources', 'demo', 'teacher');
const commit = 'c'.repeat(40);

/** The demo teacher as huggingface_hub keeps it. */
function cache(folder: string): void {
  const model = join(folder, 'models--acme--cached');
  for (const name of ['refs', 'blobs', `snapshots/${commit}`]) mkdirSync(join(model, name), { recursive: true });
  writeFileSync(join(model, 'refs', 'main'), commit);
  for (const name of readdirSync(teacher)) {
    cpSync(join(teacher, name), join(model, 'blobs', `blob-of-${name}`));
    symlinkSync(join('..', '..', 'blobs', `blob-of-${name}`), join(model, 'snapshots', commit, name));
  }
}

const scene = openScene({
  async prepare(folder) {
    cache(join(folder, 'hub'));
    // Inherited by the workbench that the scene starts.
    process.env['HF_HUB_CACHE'] = join(folder, 'hub');
    await writeTinyAdapter(join(folder, 'adapter'), teacher);
    cpSync(teacher, join(folder, 'quantised'), { recursive: true });
    const path = join(folder, 'quantised', 'config.json');
    const config = JSON.parse(readFileSync(path, 'utf8')) as object;
    const quantised = {
      ...config,
      _name_or_path: 'acme/whole',
      quantization_config: { quant_method: 'gptq', bits: 4 },
    };
    writeFileSync(path, JSON.stringify(quantised));
  },
});
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });
async function type(label: string, text: string): Promise<void> {
  const field = scene.page.getByLabel(label, { exact: true });
  await field.fill(text);
  await field.blur();
}

describeInBrowser('a model folder in the wizard', () => {
  it('is refused with the reason and what to choose', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await type('Model folder or GGUF file', join(scene.folder, 'quantised'));
    await page.getByText('The weights of this model are quantised (GPTQ, 4-bit).').waitFor();
    await page.getByText('Choose the model from which it was made, acme/whole', { exact: false }).waitFor();
    await screenshot(page, 'wizard-teacher-quantised');
    expect(await findViolations(page)).toEqual([]);
  });

  it('may be an adapter, which is merged with its base', async () => {
    const { page } = scene;
    await type('Model folder or GGUF file', join(scene.folder, 'adapter'));
    await page.getByRole('heading', { name: 'This is a LoRA adapter' }).waitFor();
    await page.getByText('The model on which the adapter was trained: acme/base.').waitFor();
    await type('Base of the adapter', join(scene.folder, 'adapter'));
    await button('Merge adapter and base').click();
    await page.getByRole('heading', { name: 'The two cannot be merged' }).waitFor();
    await screenshot(page, 'wizard-teacher-adapter');
    expect(await findViolations(page)).toEqual([]);
    expect(await overflow(page)).toBe(0);
    await type('Base of the adapter', teacher);
    await button('Merge adapter and base').click();
    await page.getByText('What the student will weigh').waitFor();
    expect(await page.getByLabel('Model folder or GGUF file', { exact: true }).inputValue()).toMatch(
      /adapter-merged-[0-9a-f]{8}$/,
    );
    await screenshot(page, 'wizard-teacher-merged');
  });

  it('is found in the cache of Hugging Face, under its name on the Hub', async () => {
    const { page } = scene;
    await button(/acme\/cached/).click();
    await page.getByRole('heading', { name: 'acme/cached' }).waitFor();
    const snapshot = join(scene.folder, 'hub', 'models--acme--cached', 'snapshots', commit);
    await expect.poll(() => page.getByLabel('Model folder or GGUF file', { exact: true }).inputValue()).toBe(snapshot);
    await expect.poll(() => button(/acme\/cached/).getAttribute('aria-pressed')).toBe('true');
    await screenshot(page, 'wizard-teacher-cached');
  });

  it('is reached in the file picker past names that begin with a dot', async () => {
    const { page } = scene;
    await button('Browse…').first().click();
    await button('Models of Hugging Face').click();
    await button('models--acme--cached').click();
    await button('Choose this folder').click();
    await page.getByRole('heading', { name: 'acme/cached' }).waitFor();
  });
});
