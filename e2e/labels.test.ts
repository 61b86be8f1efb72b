/** Labels as people write them, in the wizard: shown side by side and merged on one click; rows of one customer held out together. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { faultsInBothThemes } from './accessibility.ts';
import { root } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const scene = openScene();
const button = (name: string) => scene.page.getByRole('button', { name });
async function type(label: string, text: string): Promise<void> {
  const field = scene.page.getByLabel(label, { exact: true });
  await field.fill(text);
  await field.blur();
}

/** 120 tickets of 12 customers; three spellings of one label, and seven rows that nobody has labelled. */
function tickets(): string {
  const labels = ['Billing', 'billing', 'billing ', 'Shipping', 'Shipping'];
  const rows = Array.from(
    { length: 120 },
    (_, at) => `ticket ${String(at)} about ${String(at * 7919)}\t${labels[at % 5]!}\tcustomer ${String(at % 12)}`,
  );
  const unlabelled = Array.from({ length: 7 }, (_, at) => `new ticket ${String(at * 31)}\tn/a\tcustomer 1`);
  const path = join(scene.folder, 'tickets.tsv');
  writeFileSync(path, ['text\tlabel\tcustomer', ...rows, ...unlabelled].join('\n'));
  return path;
}

describeInBrowser('labels and rows in the wizard', () => {
  it('shows near-equal labels side by side, and merges them on one click', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await type('Model folder or GGUF file', join(root, 'resources', 'demo', 'teacher'));
    await button('Next').click();
    await type('Training rows', tickets());
    const alike = page.getByTestId('near-equal');
    await alike.waitFor();
    expect(await alike.getByRole('listitem').allTextContents()).toEqual(['“billing” (48)“Billing” (24)']);
    expect(await page.getByTestId('unlabelled').textContent()).toContain('“n/a” (7)');
    await page.getByText('120 of 127 rows can be used.').waitFor();
    await page.getByLabel('Merge labels that look alike').check();
    await page.getByText('were written in several ways are one class each', { exact: false }).waitFor();
    expect(await faultsInBothThemes(page, 'wizard-labels')).toEqual([]);
  });

  it('takes left-out values for a class where a person says so', async () => {
    const { page } = scene;
    await button('They are classes').click();
    await page.getByText('127 of 127 rows can be used.').waitFor();
    await button('Leave out what stands for no label').click();
    await page.getByText('120 of 127 rows can be used.').waitFor();
  });

  it('holds out whole customers, as the recipe then says', async () => {
    const { page } = scene;
    await page.getByRole('radio', { name: 'Whole groups' }).check();
    await page.getByLabel('Rows belong together by').selectOption('customer');
    await page.getByText('rows with the same "customer" stay together', { exact: false }).waitFor();
    expect(await faultsInBothThemes(page, 'wizard-split')).toEqual([]);
  });

  it('has the teacher answer the rows that nobody labelled', async () => {
    const { page } = scene;
    await type('File of rows without labels', join(scene.folder, 'tickets.tsv'));
    await page.getByLabel('Rows that the teacher writes itself').fill('40');
    expect(await faultsInBothThemes(page, 'wizard-more-rows')).toEqual([]);
    for (const step of ['Recipe', 'Machine check', 'Review']) {
      await button('Next').click();
      await page.locator(`#step[aria-label="${step}"]`).waitFor();
    }
    await page
      .getByTestId('review-facts')
      .getByText(/^7 of .*tickets\.tsv, answered by the teacher$/)
      .waitFor();
    await page
      .getByTestId('review-facts')
      .getByText(/^40, in the time/)
      .waitFor();
    expect(await faultsInBothThemes(page, 'wizard-more-rows-review')).toEqual([]);
  });
});
