/** A student's life after its training: new rows are looked at, and trained on with the former ones. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { studentModel } from '../main/contract/model-names.ts';
import { writeEvaluation } from '../main/experiment/results.ts';
import { faultsInBothThemes } from './accessibility.ts';
import { deadline } from './harness.ts';
import { makeColours } from './sample-workspace.ts';
import { describeInBrowser, openScene } from './scene.ts';

const classes = ['blue', 'green', 'red'];
let experiment = '';
const scene = openScene({
  prepare: async (folder) => {
    const { id, home } = await makeColours(folder, classes);
    experiment = id;
    // It was right on nine of ten rows, as it says.
    const predictions = Array.from({ length: 300 }, (_, row) => row % 3);
    await writeEvaluation(home, {
      model: studentModel,
      metric: 'accuracy',
      value: 0.9,
      ci95: [0.86, 0.93],
      rows: 300,
      crossEntropy: 0.3,
      scores: {},
      differences: [],
      predictions,
      answers: [],
      calibration: {
        temperature: 1.7,
        errorBefore: 0.12,
        error: 0.02,
        sure: [
          { atLeast: 0.8, rows: 240, right: 225, ci95: [0.9, 0.96] },
          { atLeast: 0.9, rows: 180, right: 177, ci95: [0.95, 0.99] },
          { atLeast: 0.99, rows: 0, right: 0, ci95: [0, 1] },
        ],
      },
    });
  },
});
const soon = { timeout: deadline };
const button = (name: string) => scene.page.getByRole('button', { name });

describeInBrowser('new rows', () => {
  it('are looked at: accuracy then and now, labels that are new, and wrong answers', async () => {
    const { page } = scene;
    const rows = Array.from({ length: 60 }, (_, row) => `thing ${String(row)}\t${classes[row % 3]!}`);
    const file = join(scene.folder, 'later.tsv');
    writeFileSync(file, ['text\tlabel', ...rows, 'a mauve one\tmauve', ''].join('\n'));
    await page.goto(`${scene.origin}/experiments/${experiment}/results`);
    const sure = page.getByTestId('sure-answers');
    await sure
      .getByText('From a score of 0.90 on, it answers 60.0 % of the rows and 98.3 % of these answers are right.')
      .waitFor(soon);
    expect(await sure.locator('tbody tr').allInnerTexts()).toEqual([
      expect.stringMatching(/^0\.80\s+80\.0 %\s+93\.8 %\s+90\.0 % to 96\.0 %\s+20\.0 %$/),
      expect.stringMatching(/^0\.90\s+60\.0 %/),
    ]);
    const card = page.getByTestId('new-rows');
    await card.getByLabel('File of new rows').fill(file);
    await card.getByLabel('File of new rows').press('Tab');
    await button('Look at these rows').click();
    const findings = card.getByTestId('new-rows-findings');
    await findings.waitFor(soon);
    const text = await findings.innerText();
    expect(text).toMatch(/\d+ of 60 labelled rows are right: .* After its training it was 90.0 %\./);
    expect(text).toContain('It has become worse');
    expect(text).toContain('1 row has a label that it was never taught: "mauve" (1).');
    await card
      .getByText(/^Wrong answers/)
      .first()
      .click();
    expect(await faultsInBothThemes(page, 'new-rows')).toEqual([]);
  });

  it('that cannot be read are refused, in words', async () => {
    const { page } = scene;
    const file = join(scene.folder, 'other.tsv');
    writeFileSync(file, 'a\tb\n1\t2\n');
    const card = page.getByTestId('new-rows');
    await card.getByLabel('File of new rows').fill(file);
    await card.getByLabel('File of new rows').press('Tab');
    await button('Look at these rows').click();
    await card.getByText('no column').or(card.getByText('has no')).first().waitFor(soon);
  });

  it('are trained on, with the rows of before and the same settings', async () => {
    const { page } = scene;
    const card = page.getByTestId('new-rows');
    await card.getByLabel('File of new rows').fill(join(scene.folder, 'later.tsv'));
    await card.getByLabel('File of new rows').press('Tab');
    await button('Look at these rows').click();
    await button('Train again with these rows').click();
    await page.waitForURL(/experiments\/colours-2$/, soon);
    await page.getByRole('heading', { name: 'Colours' }).waitFor(soon);
    await page.goto(`${scene.origin}/experiments/colours-2/recipe`);
    await page.getByText('later-added.jsonl').first().waitFor(soon);
  });
});
