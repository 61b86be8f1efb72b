/** A task whose answers are written, through the whole wizard, from a bad file to the exported GGUF. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findViolations, overflow } from './accessibility.ts';
import { deadline, screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const scene = openScene({ network: 'none' });
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });
async function type(label: string, text: string): Promise<void> {
  const field = scene.page.getByRole('textbox', { name: label, exact: true });
  await field.fill(text);
  await field.blur();
}
const cities = ['Rome', 'Oslo', 'Lima', 'Cairo', 'Paris', 'Quito', 'Tunis', 'Delhi'];

/** Questions over one sentence, as JSON by id: the shape in which QNLI comes. */
function rows(name: string, from: number, count: number): string {
  const path = join(scene.folder, name);
  const content: Record<string, unknown> = {};
  for (let row = from; row < from + count; row += 1) {
    const city = cities[row % cities.length]!;
    content[String(row)] = {
      context: `Parcel ${String(row)} was sent to ${city} on day ${String(row % 28)}.`,
      question: `Where was parcel ${String(row)} sent?`,
      answer: city,
    };
  }
  writeFileSync(path, JSON.stringify(content));
  return path;
}

describeInBrowser('a task whose answers are written', () => {
  it('does not go on with a file that has one label only', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await button('Demo teacher').click();
    await page.getByText('What the student will weigh').waitFor();
    await button('Next').click();
    const bad = join(scene.folder, 'bad.csv');
    writeFileSync(bad, 'text,label\nhello there,yes\nhow are you,yes\nfine,yes\n');
    await type('Training rows', bad);
    await page.getByRole('heading', { name: 'It cannot be trained on yet' }).waitFor();
    expect(await button('Next').isDisabled()).toBe(true);
  });

  it('knows the columns of questions and answers, and shows the prompt', async () => {
    const { page } = scene;
    await type('Training rows', rows('train.json', 0, 96));
    await type('Evaluation rows (optional)', rows('dev.json', 90, 16));
    await page.getByText('96 of 96 rows can be used.').waitFor();
    await page.getByText('6 evaluation rows (37.5 %) are also training rows: the accuracy will flatter.').waitFor();
    await page.getByRole('radio', { name: /Free text/ }).click();
    await button('Question answering').click();
    const first = page.getByTestId('preview').locator('tbody tr').first();
    await expect
      .poll(() => first.locator('pre').textContent())
      .toBe('Parcel 0 was sent to Rome on day 0.\nQuestion: Where was parcel 0 sent?\nAnswer:');
    await button('Later rows').click();
    await expect.poll(() => first.locator('pre').textContent()).toContain('Parcel 5 ');
    await screenshot(page, 'wizard-generation');
    expect(await findViolations(page)).toEqual([]);
    // 1024 pixels at 125 %.
    await page.setViewportSize({ width: 819, height: 800 });
    expect(await overflow(page)).toBeLessThanOrEqual(0);
    await page.setViewportSize({ width: 1280, height: 860 });
    await expect.poll(() => button('Next').isEnabled()).toBe(true);
    await button('Next').click();
  });

  it('tells on each card what it costs here', async () => {
    const { page } = scene;
    for (const preset of ['quick', 'balanced', 'best', 'paper'])
      await expect
        .poll(() => page.getByTestId(`cost-${preset}`).textContent())
        .toMatch(/ here, [\d.]+ [MG]B of memory, [\d.]+ [MG]B of disk$/);
    await screenshot(page, 'wizard-recipe-costs');
  });

  it('runs to a verified GGUF file', async () => {
    const { page } = scene;
    await page.getByRole('radio', { name: 'Quick' }).check();
    await page.getByText('Expert settings').click();
    await page.getByLabel('General: Train the BitNet-SFT baseline').selectOption('false');
    await button('Next').click();
    await page.getByText('A guess from sizes.').waitFor();
    await button('Next').click();
    await page.getByLabel('Name').fill('Parcels');
    await button('Run the experiment').click();
    await page.getByRole('link', { name: 'See the results' }).waitFor({ timeout: 4 * deadline });
    const [id] = readdirSync(join(scene.workspace, 'experiments'));
    const folder = join(scene.workspace, 'experiments', id!);
    const evaluation = JSON.parse(readFileSync(join(folder, 'evaluations', 'bitdistill.json'), 'utf8')) as {
      metric: string;
      rows: number;
    };
    expect(evaluation).toMatchObject({ metric: 'rougeL', rows: 16 });
    expect(
      readFileSync(join(folder, 'exports', 'bitdistill-i2_s.gguf'))
        .subarray(0, 4)
        .toString(),
    ).toBe('GGUF');
    const record = JSON.parse(readFileSync(join(folder, 'experiment.json'), 'utf8')) as {
      recipe: { task: { template: string; kind: string }; baseline: boolean };
    };
    expect(record.recipe.task).toMatchObject({
      kind: 'generation',
      template: '{{ context }}\nQuestion: {{ question }}\nAnswer:',
    });
    expect(record.recipe.baseline).toBe(false);
    await screenshot(page, 'run-generation');
  });

  it('writes answers side by side in the playground', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'Playground' }).click();
    await page.getByLabel('context', { exact: true }).fill('Parcel 3 was sent to Oslo on day 4.');
    await page.getByLabel('question', { exact: true }).fill('Where was parcel 3 sent?');
    await button('Answer').click();
    await expect.poll(() => page.getByText('Weights and cache').count()).toBe(2);
    await screenshot(page, 'playground-texts');
    expect(scene.allComplaints()).toEqual([]);
  });
});
