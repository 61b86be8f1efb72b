/** A workspace after years: hundreds of experiments, names of any length, tags and notes. `npm run bench -- load` has the thousand. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fillWorkspace } from '../bench/load/full-workspace.ts';
import { faultsInBothThemes, overflow } from './accessibility.ts';
import { makeSampleWorkspace } from './sample-workspace.ts';
import { deadline } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const experimentCount = 250;
const words = 'A name that somebody pasted from a ticket system without any thought of tables 2026-11-22T10:58:00Z';
const oneWord = 'qwen3_0.6b_support_tickets_balanced_lambda10_tau5_seed1_second_try_really_final';
let ids: string[] = [];
const scene = openScene({
  prepare: async (folder) => {
    const workspace = join(folder, 'workspace');
    await fillWorkspace(workspace, { experiments: experimentCount - 3, points: 0 }, () => undefined);
    ids = await makeSampleWorkspace(workspace, [
      { name: words, steps: 30, accuracy: 0.95, fileBytes: 2_000_000, lambda: 1 },
      { name: oneWord, steps: 20, accuracy: 0.93, fileBytes: 3_000_000 },
      { name: words, steps: 10, accuracy: 0.9, fileBytes: 4_000_000 },
    ]);
  },
});
const soon = { timeout: deadline };

/** What axe finds in both themes, and whether the page is wider than 1024 pixels at 125 %. */
function faults(): Promise<string[]> {
  const { page } = scene;
  return faultsInBothThemes(page, `${new URL(page.url()).pathname.slice(1)}-crowded`);
}

describeInBrowser('hundreds of experiments', () => {
  const rows = () => scene.page.getByTestId('experiments').locator('tbody tr');

  it('are fifty rows on the page, more when asked, all of them in the search', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'Experiments', exact: true }).click();
    await page.getByText(`The first 50 of ${experimentCount.toLocaleString('en')} are shown`).waitFor(soon);
    expect(await rows().count()).toBe(50);
    await page.getByRole('button', { name: 'Show more' }).click();
    await expect.poll(() => rows().count(), soon).toBe(100);
    await page.getByLabel('Search names').fill('load 1 load-1');
    await expect.poll(() => rows().count(), soon).toBeGreaterThan(0);
    await page.getByLabel('Search names').fill('nothing of the kind');
    await page.getByText('No experiment matches').waitFor(soon);
    await page.getByLabel('Search names').fill(oneWord);
    await expect.poll(() => rows().count(), soon).toBe(1);
    await page.getByLabel('Search names').fill('');
    await expect.poll(() => rows().count(), soon).toBe(100);
  });

  it('take tags and notes, are accessible in both themes and fit 1024 pixels at 125 %', async () => {
    const { page } = scene;
    await page.getByRole('button', { name: `Tags and notes of ${oneWord}` }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('textbox', { name: /^Tags/ }).fill('night, a-tag-of-rather-many-words-in-one');
    await dialog.getByRole('textbox', { name: 'Notes' }).fill('With the old tickets, before the queues were renamed.');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await page.getByLabel('Search names').fill('pasted');
    await expect.poll(() => rows().count(), soon).toBe(2);
    await page.getByLabel('Search names').fill('a');
    await expect.poll(() => rows().count(), soon).toBeGreaterThan(99);
    await page.setViewportSize({ width: 819, height: 800 });
    expect(await overflow(page)).toBe(0);
    // Axe looks at every row.
    await page.getByLabel('Search names').fill('');
    await page.getByRole('button', { name: 'Show only what has the tag night' }).click();
    await expect.poll(() => rows().count(), soon).toBe(1);
    expect(await faults()).toEqual([]);
  });

  it('of which three with long names are compared, names told apart, tags, notes and recipes side by side', async () => {
    const { page } = scene;
    await page.goto(`${scene.origin}/compare?ids=${ids.join(',')}`);
    const results = page.getByTestId('compared-results');
    await results.getByRole('rowheader', { name: 'Student' }).waitFor(soon);
    await page.locator('figure canvas').waitFor(soon);
    const heads = (await results.locator('thead th').allInnerTexts()).map((text) => text.trim());
    expect(heads).toEqual([`1. ${words}`, oneWord, `3. ${words}`]);
    const cells = async (name: string): Promise<string[]> =>
      results
        .locator('tbody tr')
        .filter({ has: page.getByRole('rowheader', { name, exact: true }) })
        .locator('td')
        .allInnerTexts();
    expect(await cells('Tags')).toEqual(['–', 'night, a-tag-of-rather-many-words-in-one', '–']);
    expect((await cells('Notes'))[1]).toContain('before the queues were renamed');
    expect(await page.getByTestId('recipe-differences').locator('tbody tr').count()).toBe(2);
    expect(await page.locator('figure .plot').getAttribute('aria-label')).toMatch(/at step 1, .* at step 30/);
    expect(await faults()).toEqual([]);
  });

  it('leave no error in the console of the browser', () => {
    expect(scene.allComplaints()).toEqual([]);
  });
});
