import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { writeRows } from '../main/formats/datasets/index.ts';
import { findViolations, overflow, settled } from './accessibility.ts';
import { deadline, root, screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const demo = join(root, 'resources', 'demo');
// Without a network, so that this is also the proof that nothing needs one.
const scene = openScene({ network: 'none' });

/** The first `rows` rows of a file of the demo; the last of them is a long one. As a workbook, as most people have them, or as text. */
async function part(name: string, rows: number, as: '.xlsx' | '.tsv'): Promise<string> {
  const path = join(scene.folder, name.replace('.tsv', as));
  const lines = readFileSync(join(demo, 'task', name), 'utf8')
    .split('\n')
    .slice(0, rows + 1);
  const [text, queue] = lines.pop()!.split('\t');
  lines.push(`${`${text!} `.repeat(8).slice(0, 700)}\t${queue!}`);
  const [header, ...cells] = lines.map((line) => line.split('\t'));
  await writeRows(path, header!, Readable.from(cells));
  return path;
}
async function type(label: string, text: string): Promise<void> {
  const field = scene.page.getByRole('textbox', { name: label, exact: true });
  await field.fill(text);
  await field.blur();
}
const queues = ['account', 'billing', 'cancel', 'delivery', 'refund', 'repair'];
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });
const experimentFolder = (): string => {
  const [id] = readdirSync(join(scene.workspace, 'experiments'));
  return join(scene.workspace, 'experiments', id!);
};

describeInBrowser('from first start to an exported file', () => {
  it('says what is wrong with a folder that is no model', async () => {
    const { page } = scene;
    await button('Run the demo').waitFor();
    await screenshot(page, 'home');
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await type('Model folder or GGUF file', join(demo, 'task'));
    await page.getByRole('heading', { name: 'This model cannot be used' }).waitFor();
    await page.getByText('This model cannot be used: choose another one.').waitFor();
    expect(await button('Next').isDisabled()).toBe(true);
  });

  it('shows the teacher and what the student will weigh', async () => {
    const { page } = scene;
    await button('Browse…').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Up' }).waitFor();
    await screenshot(page, 'picker');
    await page.keyboard.press('Escape');
    await button('Demo teacher').click();
    await page.getByText('What the student will weigh').waitFor();
    await page.getByText('Qwen3', { exact: true }).waitFor();
    await screenshot(page, 'wizard-teacher');
    await button('Next').click();
  });

  it('says what is wrong with a data file, with row numbers, and lets the user go on', async () => {
    const { page } = scene;
    const bad = join(scene.folder, 'bad.csv');
    writeFileSync(bad, 'text,label\nhello there,\n,yes\nhow are you,yes\nfine,yes\n');
    await type('Training rows', bad);
    await page.getByRole('heading', { name: 'It cannot be trained on yet' }).first().waitFor();
    const problems = page.getByTestId('problems').first();
    expect(await problems.textContent()).toMatch(/no label|empty label|label/i);
    await type('Training rows', join(scene.folder, 'missing.csv'));
    await page.getByRole('heading', { name: 'This file cannot be used' }).waitFor();
    await screenshot(page, 'wizard-data-bad');
  });

  it('guesses the columns and shows rows as the model sees them', async () => {
    const { page } = scene;
    await type('Training rows', await part('train.tsv', 3000, '.xlsx'));
    await type('Evaluation rows (optional)', await part('dev.tsv', 60, '.tsv'));
    await page.getByText('3,000 of 3,000 rows can be used.').waitFor();
    await page.getByText('60 of 60 rows can be used.').waitFor();
    await page.getByTestId('preview').waitFor();
    const preview = page.getByTestId('preview').locator('tbody tr').first();
    expect(await preview.locator('td').last().textContent()).toMatch(/^\d+ of 256$/);
    expect(await page.getByLabel('Right answer').inputValue()).toBe('queue');
    await screenshot(page, 'wizard-data');
  });

  it('keeps the draft over a restart of the workbench', async () => {
    // Entries are saved a moment after the last one.
    const drafts = join(scene.workspace, 'drafts');
    const saved = () => readdirSync(drafts).map((name) => readFileSync(join(drafts, name), 'utf8'));
    await expect.poll(() => saved().join('\n')).toContain(JSON.stringify(join(scene.folder, 'dev.tsv')).slice(1, -1));
    await scene.reopen('kill');
    await scene.page.getByRole('link', { name: 'Go on' }).click();
    await scene.page.getByText('3,000 of 3,000 rows can be used.').waitFor();
    await button('Next').click();
  });

  it('explains the recipes and takes expert changes', async () => {
    const { page } = scene;
    expect(await page.getByRole('radio', { name: 'Balanced' }).isChecked()).toBe(true);
    await page.getByRole('radio', { name: 'Quick' }).check();
    await screenshot(page, 'wizard-recipe');
    // A smaller student, with what it takes beside the whole one.
    await expect.poll(() => page.getByTestId('size-same').textContent()).toMatch(/file of about .* of memory/);
    await page.getByRole('radio', { name: 'Fewer layers' }).check();
    await page.getByText('3 of 4 layers stay').waitFor();
    await page.getByLabel('Layers that stay').fill('2');
    await page.getByText('2 of 4 layers stay').waitFor();
    await expect.poll(() => page.getByTestId('size-cut').textContent()).toMatch(/file of about .* of memory/);
    await screenshot(page, 'wizard-size');
    await page.getByRole('radio', { name: 'A smaller model' }).check();
    await type('Folder of the smaller model', join(demo, 'task'));
    await page.getByText('config.json', { exact: false }).first().waitFor();
    await page.getByRole('radio', { name: 'Every layer of the teacher' }).check();
    await page.getByText('Expert settings').click();
    // What is being typed stays when the recipe of an earlier change comes back (a click of the script leaves the field its focus).
    const rowsAtMost = page.getByLabel('General: Rows at most');
    await rowsAtMost.fill('240');
    await page.getByRole('radio', { name: 'Balanced' }).dispatchEvent('click');
    const passes = page.getByLabel('Stage 3: distil: Passes over the rows');
    await expect.poll(() => passes.inputValue()).toBe('2');
    expect(await rowsAtMost.inputValue()).toBe('240');
    await page.getByRole('radio', { name: 'Quick' }).check();
    // A run of a minute: the rest of the workbook is read and surveyed, not trained on.
    await type('General: Rows at most', '240');
    await type('Evaluation, checkpoints, resources: Evaluate every so many steps', '5');
    await type('Evaluation, checkpoints, resources: Rows per evaluation', '24');
    // At once, not when the workbench has answered with the changed recipe.
    expect(await page.getByLabel('Evaluation, checkpoints, resources: Rows per evaluation').inputValue()).toBe('24');
    await page.getByText('Expert settings (3 changed)').waitFor();
    // Its own settings come with it.
    await page.getByLabel('First −1, 0 and +1 of the student').selectOption('gptq');
    await type('Calibration: Rows that are looked at', '24');
    await page.getByText('Expert settings (4 changed)').waitFor();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await screenshot(page, `wizard-expert-${colorScheme}`);
    }
    await button('Next').click();
  });

  it('compares what is needed with what is there, and a rehearsal turns the guess into a measurement', async () => {
    const { page } = scene;
    await page.getByText('A guess from sizes.').waitFor();
    expect(await page.getByText('It fits.').count()).toBe(2);
    await button('Rehearse 20 steps').click();
    await page.getByText('From the rehearsal on this machine.').waitFor();
    await page.getByText('Where this comes from').first().click();
    await page.getByText(/20 steps took [\d.]+ s each here/).waitFor();
    await screenshot(page, 'wizard-machine');
    await button('Next').click();
  });

  it('says what may not fit, and leaves it to the user', async () => {
    const { page } = scene;
    for (const heading of ['Memory', 'How thorough should it be?']) {
      await button('Back').click();
      await page.getByRole('heading', { name: heading }).waitFor();
    }
    // Only together do they make a step large: four thousand of the longest row.
    await type('Stage 3: distil: Batch size', '4096');
    await type('Stage 3: distil: Tokens at once', '1048576');
    await button('Next').click();
    await page.getByText('It may not fit.').waitFor();
    await page.getByText('You can run it anyway', { exact: false }).waitFor();
    await screenshot(page, 'wizard-machine-tight');
    await button('Go on anyway').click();
    await button('Run anyway').waitFor();
  });

  it('takes an expert change back', async () => {
    const { page } = scene;
    for (const heading of ['Memory', 'How thorough should it be?']) {
      await button('Back').click();
      await page.getByRole('heading', { name: heading }).waitFor();
    }
    await button('Reset Batch size').click();
    await button('Reset Tokens at once').click();
    await page.getByText('Expert settings (4 changed)').waitFor();
    await button('Next').click();
    await expect.poll(() => page.getByText('It fits.').count(), { timeout: 30_000 }).toBe(2);
    await button('Next').click();
  });

  it('runs to the end', async () => {
    const { page } = scene;
    await page.getByLabel('Name').fill('Journey');
    await page.getByText(`text → queue`).waitFor();
    await screenshot(page, 'wizard-review');
    await button('Run the experiment').click();
    await page.waitForURL('**/experiments/journey-1');
    await page.getByRole('link', { name: 'See the results' }).waitFor({ timeout: 4 * deadline });
    const { recipe } = JSON.parse(readFileSync(join(experimentFolder(), 'experiment.json'), 'utf8')) as {
      recipe: { calibrate: object };
    };
    expect(recipe.calibrate).toEqual({ method: 'gptq', rows: 24, damping: 0.01 });
    expect(await page.getByTestId('fraction').textContent()).toBe('100 %');
    await page.getByRole('heading', { name: 'Accuracy on held-out rows' }).waitFor();
    await screenshot(page, 'run-done');
    await button('Calibrate').click();
    await page.getByRole('heading', { name: 'Error of each layer’s output, by layer' }).waitFor();
    await screenshot(page, 'run-calibrated');
  });

  it('shows teacher, baseline and student with the figures of the evaluation', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'See the results' }).click();
    const rows = page.getByTestId('comparison').locator('tbody tr');
    await rows.first().waitFor();
    expect(await rows.count()).toBe(3);
    const { value } = JSON.parse(readFileSync(join(experimentFolder(), 'evaluations', 'bitdistill.json'), 'utf8')) as {
      value: number;
    };
    expect(await rows.nth(2).textContent()).toContain(`${(value * 100).toFixed(1)} %`);
    await page.getByTestId('differences').waitFor();
    await page.getByRole('region', { name: 'Which class is taken for which: Student' }).waitFor();
    await screenshot(page, 'results');
    const [download] = await Promise.all([page.waitForEvent('download'), button('Report as HTML').click()]);
    const report = readFileSync(await download.path(), 'utf8');
    expect(report).toContain('Journey');
    expect(report).toContain(`${(value * 100).toFixed(1)} %`);
    expect(report).toContain('Where teacher and student differ');
    expect(report).toContain('Which class is taken for which');
    expect(report).not.toMatch(/<script|src=|https?:/);
  });

  it('leads to the verified GGUF file', async () => {
    const { page } = scene;
    await page.getByRole('navigation', { name: 'Journey' }).getByRole('link', { name: 'Export' }).click();
    await page.getByRole('heading', { name: 'Student: GGUF, I2_S' }).waitFor();
    const path = join(experimentFolder(), 'exports', 'bitdistill-i2_s.gguf');
    await page.getByText(path, { exact: true }).waitFor();
    expect(readFileSync(path).subarray(0, 4).toString()).toBe('GGUF');
    await screenshot(page, 'exports');
  });

  it('is served, and answers over HTTP as the page shows it', async () => {
    const { page } = scene;
    await button('Serve this model').click();
    await page.getByTestId('served-address').waitFor();
    await page.getByLabel('Example for').selectOption('curl');
    const example = await page.getByTestId('serving-example').innerText();
    const { stdout } = await promisify(execFile)(...scene.beside('sh', ['-c', example]));
    const { labels, data } = JSON.parse(stdout) as { labels: string[]; data: { label: string }[] };
    expect(labels.toSorted()).toEqual(queues);
    expect(queues).toContain(data[0]!.label);
    await button('Stop serving').click();
    await button('Serve this model').waitFor();
  });

  it('says what a wider format adds to this student, and makes another file of it', async () => {
    const { page } = scene;
    await page.getByRole('radio', { name: /GGUF, TQ2_0/ }).check();
    await page
      .getByText(/^Zeros make it wider, with the same answers: .* more in the linear layers/)
      .first()
      .waitFor();
    await page.getByRole('radio', { name: /GGUF, I2_S/ }).check();
    await page.getByText('This file is there already.').waitFor();
    await page.getByRole('combobox', { name: /^Embedding/ }).selectOption('q8_0');
    await button('Make this file').click();
    const path = join(experimentFolder(), 'exports', 'bitdistill-i2_s-q8_0.gguf');
    await page.getByText(path, { exact: true }).waitFor();
    expect(readFileSync(path).subarray(0, 4).toString()).toBe('GGUF');
    const commands = await page.getByTestId('file-i2_s').first().locator('pre').allTextContents();
    expect(commands.some((command) => command.includes('tritsmith -- classify journey-1'))).toBe(true);
    expect(commands.some((command) => command.startsWith('build/bin/llama-completion -m'))).toBe(true);
    await screenshot(page, 'exports-two');
  });

  it('answers in the playground, teacher and student at the same time, and times each alone', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'Playground' }).click();
    await page.getByLabel('text', { exact: true }).fill('I never got the parcel with my new lamp.');
    // How many models load at the same moment, however short it is.
    await page.evaluate(`
      const count = () => [...document.querySelectorAll('[role=status]')]
        .filter(({ textContent }) => textContent.includes('Loading the model')).length;
      globalThis.atOnce = 0;
      new MutationObserver(() => { globalThis.atOnce = Math.max(globalThis.atOnce, count()); })
        .observe(document.body, { childList: true, subtree: true, characterData: true });
    `);
    await button('Answer').click();
    await expect.poll(() => page.getByTestId('label').count()).toBe(2);
    for (const label of await page.getByTestId('label').allTextContents()) expect(queues).toContain(label.trim());
    await expect.poll(() => page.getByText('Weights and cache').count()).toBe(2);
    expect(await page.getByText(', beside the other model').count()).toBe(2);
    expect(await page.evaluate('globalThis.atOnce')).toBe(2);
    await screenshot(page, 'playground');
    await page.evaluate('globalThis.atOnce = 0');
    await button('Time each alone').click();
    await button('Time each alone').waitFor({ state: 'hidden' });
    await expect.poll(() => page.getByText('Weights and cache').count()).toBe(2);
    expect(await page.getByText(', beside the other model').count()).toBe(0);
    expect(await page.evaluate('globalThis.atOnce')).toBe(1);
  });

  it('measures and keeps a benchmark', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'Benchmarks' }).click();
    await page.getByLabel('Threads').fill('1');
    await page.getByLabel('Prompt lengths in tokens').fill('16');
    await button('Measure').click();
    await expect.poll(() => page.getByLabel('Charts show').textContent()).toBe('1 thread, 16 prompt tokens');
    await page.reload();
    await page.getByLabel('Charts show').waitFor();
    await screenshot(page, 'benchmarks');
  });

  it('finds experiments by their tags, deletes one and brings it back', async () => {
    const { page } = scene;
    await page.goto(`${scene.origin}/experiments/journey-1/recipe`);
    await page.getByRole('textbox', { name: /^Tags/ }).fill('first, small');
    await button('Save').first().click();
    await page.getByText('Saved.').waitFor();
    await page.getByRole('link', { name: 'Experiments', exact: true }).click();
    await page.getByLabel('Search names').fill('small');
    await page.getByRole('link', { name: 'Journey' }).waitFor();
    await page.getByLabel('Search names').fill('nothing like it');
    await page.getByText('No experiment matches').waitFor();
    await page.getByLabel('Search names').fill('');
    await screenshot(page, 'experiments');
    await button('Delete Journey').click();
    await page.getByText('There are no experiments yet.').waitFor();
    await button('Undo').click();
    await page.getByRole('link', { name: 'Journey' }).waitFor();
    expect(existsSync(experimentFolder())).toBe(true);
  });
});

describeInBrowser('every screen', () => {
  const screens = [
    ['home', '/'],
    ['wizard', '/new'],
    ['experiments', '/experiments'],
    ['run', '/experiments/journey-1'],
    ['results', '/experiments/journey-1/results'],
    ['exports', '/experiments/journey-1/exports'],
    ['recipe', '/experiments/journey-1/recipe'],
    ['compare', '/compare?ids=journey-1,journey-1'],
    ['playground', '/playground'],
    ['benchmarks', '/benchmarks'],
    ['machine', '/machine'],
  ] as const;

  it('is accessible in both themes and fits 1024 pixels at 125 %', async () => {
    const { page } = scene;
    const found: string[] = [];
    for (const [name, path] of screens) {
      // 1024 CSS pixels at 125 % leave 819.
      await page.setViewportSize({ width: 819, height: 800 });
      await page.goto(scene.origin + path);
      await page.locator('main h1').waitFor();
      if (name === 'results') await page.getByTestId('differences').waitFor();
      if (name === 'machine') await page.getByRole('heading', { name: 'Findings' }).waitFor();
      await settled(page);
      if ((await overflow(page)) > 0) found.push(`${name} is wider than the window`);
      for (const theme of ['Light', 'Dark']) {
        await page.getByRole('radio', { name: theme }).click();
        for (const line of await findViolations(page)) found.push(`${name}, ${theme}: ${line}`);
      }
      await page.setViewportSize({ width: 1280, height: 860 });
      for (const theme of ['Dark', 'Light']) {
        await page.getByRole('radio', { name: theme }).click();
        await screenshot(page, `${name}-${theme.toLowerCase()}`);
      }
    }
    expect(found).toEqual([]);
  });

  it('leaves no error in the console of the browser', () => {
    expect(scene.allComplaints()).toEqual([]);
  });
});
