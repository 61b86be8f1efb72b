/** A workbook in the wizard: how it is read is found, shown and changed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { findViolations, overflow } from './accessibility.ts';
import { screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const scene = openScene({ network: 'none' });
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });
async function type(label: string, text: string): Promise<void> {
  const field = scene.page.getByRole('textbox', { name: label, exact: true });
  await field.fill(text);
  await field.blur();
}
const workbook = fileURLToPath(new URL('../main/formats/datasets/golden/tickets.xlsx', import.meta.url));

describeInBrowser('how a file is read', () => {
  it('is found for a workbook, and another sheet can be chosen', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await button('Demo teacher').click();
    await page.getByText('What the student will weigh').waitFor();
    await button('Next').click();
    await type('Training rows', workbook);
    await page.getByText('4 of 5 rows can be used.').waitFor();
    expect(await page.getByLabel('Right answer').inputValue()).toBe('Queue');
    const chosen = (label: string) => page.getByLabel(label).locator('option:checked').textContent();
    expect(await chosen('Sheet or table')).toBe('Tickets (it has most rows)');
    expect(await chosen('Names of the columns')).toBe('In row 3 (found)');
    await screenshot(page, 'wizard-workbook');
    await page.getByLabel('Sheet or table').selectOption('No header');
    await expect.poll(() => page.getByLabel('Right answer').inputValue()).toBe('column 2');
    expect(await chosen('Names of the columns')).toBe('Nowhere (found)');
  });

  it('is said with its doubt for an old encoding, and follows the choice', async () => {
    const { page } = scene;
    const file = join(scene.folder, 'latin.csv');
    writeFileSync(file, Buffer.from('text;label\nprüfen;ja\nlaut;nein\nschön;ja\nmüde;nein\n', 'latin1'));
    await type('Training rows', file);
    await page.getByText('4 of 4 rows can be used.').waitFor();
    const first = page.getByTestId('preview').locator('tbody tr').first().locator('pre');
    await expect.poll(() => first.textContent()).toMatch(/^prüfen/);
    await screenshot(page, 'wizard-encoding');
    expect(await findViolations(page)).toEqual([]);
    await page.setViewportSize({ width: 819, height: 800 });
    expect(await overflow(page)).toBeLessThanOrEqual(0);
    await page.setViewportSize({ width: 1280, height: 860 });
    await page.getByLabel('Encoding').selectOption('windows-1251');
    await expect.poll(() => first.textContent()).toMatch(/^prьfen/);
  });
});
