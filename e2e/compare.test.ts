import { join } from 'node:path';
import { expect, it } from 'vitest';
import { deadline, screenshot } from './harness.ts';
import { makeSampleWorkspace } from './sample-workspace.ts';
import { describeInBrowser, openScene } from './scene.ts';

const scene = openScene({
  prepare: async (folder) => {
    await makeSampleWorkspace(join(folder, 'workspace'), [
      { name: 'Bravo', steps: 20, accuracy: 0.93, fileBytes: 3_000_000 },
      { name: 'Alpha', steps: 60, accuracy: 0.95, fileBytes: 2_000_000, lambda: 1 },
      { name: 'Charlie', steps: 40, accuracy: 0.9, fileBytes: 4_000_000 },
    ]);
  },
});
const soon = { timeout: deadline };
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });
const names = () => scene.page.getByTestId('experiments').locator('tbody th a').allTextContents();

describeInBrowser('the experiments table', () => {
  it('shows the newest first and sorts by any column, either way', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'Experiments', exact: true }).click();
    await page.getByTestId('experiments').waitFor();
    expect(await names()).toEqual(['Charlie', 'Alpha', 'Bravo']);
    const header = (name: string) => page.getByRole('columnheader', { name });
    await button('Name').click();
    expect(await names()).toEqual(['Alpha', 'Bravo', 'Charlie']);
    expect(await header('Name').getAttribute('aria-sort')).toBe('ascending');
    await button('Name').click();
    expect(await names()).toEqual(['Charlie', 'Bravo', 'Alpha']);
    await button('Student').first().click();
    expect(await names()).toEqual(['Alpha', 'Bravo', 'Charlie']);
    expect(await header('Name').getAttribute('aria-sort')).toBeNull();
    await button('Student file').click();
    expect(await names()).toEqual(['Alpha', 'Bravo', 'Charlie']);
    await button('Student file').click();
    expect(await names()).toEqual(['Charlie', 'Bravo', 'Alpha']);
  });

  it('takes tags and notes, and finds experiments by them', async () => {
    const { page } = scene;
    await button('Tags and notes of Bravo').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('textbox', { name: /^Tags/ }).fill('small, night');
    await dialog.getByRole('textbox', { name: 'Notes' }).fill('with the old tickets');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await button('Show only what has the tag night').click();
    expect(await names()).toEqual(['Bravo']);
    await page.getByLabel('Search names').fill('old tickets');
    expect(await names()).toEqual(['Bravo']);
    await page.getByLabel('Search names').fill('nothing like it');
    await page.getByText('No experiment matches').waitFor();
    await button('Show all').click();
    expect((await names()).length).toBe(3);
  });

  it('brings deleted experiments back one by one, and leads the keyboard to the way back', async () => {
    const { page } = scene;
    await button('Delete Alpha').click();
    await expect.poll(names, soon).toEqual(['Charlie', 'Bravo']);
    await button('Delete Charlie').click();
    await expect.poll(names, soon).toEqual(['Bravo']);
    await page.getByText('“Charlie” is deleted.').waitFor();
    await expect.poll(() => page.evaluate('document.activeElement.textContent.trim()'), soon).toBe('Undo');
    await page.keyboard.press('Enter');
    await expect.poll(names, soon).toEqual(['Charlie', 'Bravo']);
    await page.getByText('“Alpha” is deleted.').waitFor();
    await button('Undo').click();
    await expect.poll(names, soon).toEqual(['Charlie', 'Bravo', 'Alpha']);
    expect(await button('Undo').count()).toBe(0);
  });
});

describeInBrowser('a comparison', () => {
  it('lays the results of three experiments side by side and marks the best', async () => {
    const { page } = scene;
    expect(await button('Compare').isDisabled()).toBe(true);
    for (const name of ['Alpha', 'Bravo', 'Charlie']) await page.getByLabel(`Choose ${name}`).check();
    await button('Compare 3').click();
    const rows = page.getByTestId('compared-results').locator('tbody tr');
    const row = async (name: string): Promise<string[]> => {
      const texts = await rows
        .filter({ has: page.getByRole('rowheader', { name, exact: true }) })
        .locator('td')
        .allInnerTexts();
      return texts.map((text) => text.replaceAll(/\s+/g, ' ').trim());
    };
    await expect
      .poll(() => row('Student'), soon)
      .toEqual([
        expect.stringMatching(/^95\.0 % \(best\)/),
        expect.stringMatching(/^93\.0 % 92\.0 – 94\.0$/),
        expect.stringMatching(/^90\.0 %/),
      ]);
    expect(await row('Whole file')).toEqual(['2.00 MB (best)', '3.00 MB', '4.00 MB']);
  });

  it('overlays their curves, each with a dash of its own, and has a table behind', async () => {
    const { page } = scene;
    await page.locator('figure canvas').waitFor();
    const legend = page.locator('figure .legend li');
    expect((await legend.allInnerTexts()).map((text) => text.split('\n')[0])).toEqual(['Alpha', 'Bravo', 'Charlie']);
    await page.locator('figure summary').click();
    const last = page.locator('figure tbody tr').last();
    // Alpha made 60 steps, the others fewer.
    expect(await last.locator('th').textContent()).toBe('60');
    expect((await last.locator('td').allTextContents()).map((text) => text.trim() === '–')).toEqual([
      false,
      true,
      true,
    ]);
    await page.getByLabel('Curve').selectOption({ label: 'Tokens per second' });
    await page.getByRole('heading', { name: 'Tokens per second' }).waitFor();
    await expect.poll(() => legend.first().innerText(), soon).toMatch(/1,000/);
  });

  it('shows what differs in their recipes and nothing else', async () => {
    const { page } = scene;
    const rows = page.getByTestId('recipe-differences').locator('tbody tr');
    const texts = (await rows.allInnerTexts()).map((text) => text.replaceAll(/\s+/g, ' ').trim());
    expect(texts).toEqual([
      expect.stringMatching(/distil\.lambda 1 differs: 10 differs: 10$/),
      expect.stringMatching(/distil\.steps 60 differs: 20 differs: 40$/),
    ]);
    await screenshot(page, 'compare');
  });

  it('says what to do when too few are chosen, and leaves no error in the console', async () => {
    const { page } = scene;
    await page.goto(`${scene.origin}/compare`);
    await page.getByText('Choose at least two experiments.').waitFor();
    expect(scene.allComplaints()).toEqual([]);
  });
});
