/** A BitNet b1.58 as the base, through the whole wizard: what it says of a model that is ternary as it comes, and a run that trains it further. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeTinyBitNet } from '../main/models/fixtures/tiny-bitnet.ts';
import { faultsInBothThemes } from './accessibility.ts';
import { deadline, root } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const demo = join(root, 'resources', 'demo');
const scene = openScene({
  network: 'none',
  async prepare(folder) {
    await writeTinyBitNet(join(folder, 'bitnet-bf16'));
    // As it is published to be run: codes without the weights that they were rounded from.
    cpSync(join(root, 'main', 'models', 'golden', 'bitnet', 'packed'), join(folder, 'bitnet'), { recursive: true });
    for (const name of ['tokenizer.json', 'tokenizer_config.json'])
      cpSync(join(demo, 'teacher', name), join(folder, 'bitnet', name));
  },
});
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });
async function type(label: string, text: string): Promise<void> {
  const field = scene.page.getByRole('textbox', { name: label, exact: true });
  await field.fill(text);
  await field.blur();
}
function part(name: string, rows: number): string {
  const path = join(scene.folder, name);
  const lines = readFileSync(join(demo, 'task', name), 'utf8').split('\n');
  writeFileSync(path, lines.slice(0, rows + 1).join('\n'));
  return path;
}
/** Nothing that keeps people out, and pictures in both themes. */
async function looked(name: string): Promise<void> {
  expect(await faultsInBothThemes(scene.page, name)).toEqual([]);
}

describeInBrowser('a base that is ternary as it comes', () => {
  it('is refused where its latent weights are missing, with the folder to choose', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await type('Model folder or GGUF file', join(scene.folder, 'bitnet'));
    await page.getByText('It is a BitNet with packed weights', { exact: false }).first().waitFor();
    await page.getByText('its name ends in -bf16', { exact: false }).first().waitFor();
    expect(await button('Next').isDisabled()).toBe(true);
  });

  it('says on its card that it is trained as it is', async () => {
    const { page } = scene;
    await type('Model folder or GGUF file', join(scene.folder, 'bitnet-bf16'));
    await page.getByText('BitNet b1.58', { exact: true }).waitFor();
    await page.getByText('ternary from the first step, without a stage that converts it', { exact: false }).waitFor();
    await page.getByText(/ are ternary$/).waitFor();
    await looked('wizard-ternary-base');
    await button('Next').click();
    await type('Training rows', part('train.tsv', 96));
    await type('Evaluation rows (optional)', part('dev.tsv', 24));
    await page.getByText('96 of 96 rows can be used.').waitFor();
    await page.getByText('24 of 24 rows can be used.').waitFor();
    await button('Next').click();
  });

  it('has no conversion to set in the recipe', async () => {
    const { page } = scene;
    await page.getByRole('radio', { name: 'Quick' }).check();
    await page.getByText('This model is ternary already.', { exact: false }).waitFor();
    await page.getByText('Expert settings').click();
    await page.getByLabel('Stage 3: distil: Passes over the rows').waitFor();
    for (const absent of [
      'Reconstruct the layers first',
      'First −1, 0 and +1 of the student',
      'Train the BitNet-SFT baseline',
    ])
      expect(await page.getByLabel(absent).count()).toBe(0);
    for (const absent of ['Teaching the teacher', 'Stage 1: refine', 'Stage 2: pre-train', 'Reconstruction of layers'])
      expect(await page.getByRole('heading', { name: absent }).count()).toBe(0);
    expect(await page.getByRole('radio', { name: 'A smaller model' }).count()).toBe(0);
    await looked('wizard-ternary-recipe');
    await button('Next').click();
  });

  it('runs in one stage to its results and a file', async () => {
    const { page } = scene;
    await page.getByText('A guess from sizes.').waitFor();
    await button('Next').click();
    await page.getByLabel('Name').fill('Further');
    await button('Run the experiment').waitFor();
    await page.getByText('Putting the recipe together', { exact: false }).waitFor({ state: 'detached' });
    await looked('wizard-ternary-review');
    await button('Run the experiment').click();
    await page.getByText('Your ternary model learns the task.').waitFor();
    await page.getByRole('link', { name: 'See the results' }).waitFor({ timeout: 4 * deadline });
    await looked('run-ternary-base');
    await page.getByRole('link', { name: 'See the results' }).click();
    const rows = page.getByTestId('comparison').locator('tbody tr');
    await rows.first().waitFor();
    expect(await rows.count()).toBe(2);
    await page.getByText('your model as it came, ternary already').waitFor();
    await page.getByText('trained further on your task', { exact: false }).waitFor();
    for (const untrue of ['at full precision', 'times smaller', 'taught by the teacher'])
      expect(await page.getByText(untrue, { exact: false }).count(), untrue).toBe(0);
    await looked('results-ternary-base');
    const [id] = readdirSync(join(scene.workspace, 'experiments'));
    const folder = join(scene.workspace, 'experiments', id!);
    const record = JSON.parse(readFileSync(join(folder, 'experiment.json'), 'utf8')) as { recipe: object };
    expect(record.recipe).toMatchObject({ continueTernary: true, finetune: null, baseline: false });
    const file = readFileSync(join(folder, 'exports', 'bitdistill-i2_s.gguf'));
    expect(file.subarray(0, 4).toString()).toBe('GGUF');
    expect(file.includes('bitnet-b1.58')).toBe(true);
    expect(scene.allComplaints()).toEqual([]);
  });
});
