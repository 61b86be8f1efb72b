/** A file of chats and a folder of documents in the wizard: what was found in them, what is left out, and what the model reads. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { findViolations, overflow } from './accessibility.ts';
import { screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const repository = fileURLToPath(new URL('..', import.meta.url));
const template =
  '{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}';
const scene = openScene({
  network: 'none',
  prepare(folder) {
    cpSync(join(repository, 'resources/demo/teacher'), join(folder, 'chat-teacher'), { recursive: true });
    writeFileSync(join(folder, 'chat-teacher', 'chat_template.jinja'), template);
    const turn = (from: string, value: string) => ({ from, value });
    const rows = Array.from({ length: 40 }, (_, i) => [
      turn('human', `Where is parcel ${i}?`),
      turn('gpt', 'Which town was it sent to?'),
      turn('human', 'To Lima.'),
      turn('gpt', `Parcel ${i} left the depot on day ${i % 28}.`),
    ]);
    const unusable = [[turn('human', 'Look it up.'), turn('function_call', '{}')], [turn('human', 'Hello?')]];
    const text = [...rows, ...unusable].map((conversations) => `${JSON.stringify({ conversations })}\n`).join('');
    writeFileSync(join(folder, 'chats.jsonl'), text);
    const corpus = join(folder, 'texts');
    mkdirSync(corpus);
    const golden = join(repository, 'main/formats/datasets/golden');
    for (const name of ['report.pdf', 'letter.docx', 'scan.pdf']) cpSync(join(golden, name), join(corpus, name));
    for (let i = 0; i < 6; i++)
      writeFileSync(
        join(corpus, `page-${i}.html`),
        `<h1>Depot ${i}</h1><p>The depot number ${i} is open on working days only.</p><p>All rights reserved by the post office.</p>`,
      );
    writeFileSync(join(corpus, 'photo.png'), readFileSync(join(repository, 'docs/images/results-light.png')));
  },
});
async function type(label: string, text: string): Promise<void> {
  const field = scene.page.getByRole('textbox', { name: label, exact: true });
  await field.fill(text);
  await field.blur();
}

describeInBrowser('chats and documents', () => {
  it('are recognised, and say what is left out', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await page.getByRole('textbox').first().waitFor();
    await page.getByRole('textbox').first().fill(join(scene.folder, 'chat-teacher'));
    await page.getByRole('textbox').first().blur();
    await page.getByText('What the student will weigh').waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    await type('Training rows', join(scene.folder, 'chats.jsonl'));
    await page.getByText('This file holds chats as ShareGPT writes them.').waitFor();
    await page.getByText('40 of 42 rows can be used.').waitFor();
    await page.getByText('the conversation offers or calls tools').first().waitFor();
    await page.getByText("no turn of an assistant comes after a user's").first().waitFor();
    const first = page.getByTestId('preview').locator('tbody tr').first();
    await expect
      .poll(() => first.locator('pre').textContent())
      .toBe('User: Where is parcel 0?\nAssistant: Which town was it sent to?\nUser: To Lima.\nAssistant:');
    expect(await first.textContent()).toContain('Parcel 0 left the depot on day 0.');
  });

  it('are asked with the chat template of the model on wish', async () => {
    const { page } = scene;
    const prompt = page.getByTestId('preview').locator('tbody tr').first().locator('pre');
    const box = page.getByRole('checkbox', { name: /own chat template/ });
    await box.check();
    await expect
      .poll(() => prompt.textContent())
      .toBe('[user] Where is parcel 0?\n[assistant] Which town was it sent to?\n[user] To Lima.\n[assistant] ');
    await box.uncheck();
    await expect.poll(() => prompt.textContent()).toContain('User: Where is parcel 0?');
    await box.check();
    await expect.poll(() => prompt.textContent()).toContain('[user]');
    await screenshot(page, 'wizard-chats');
  });

  it('and a corpus of documents shows its text before anything is trained on it', async () => {
    const { page } = scene;
    await type('Corpus for Stage 2', join(scene.folder, 'texts', 'photo.png'));
    await page.getByText(/photo\.png is no corpus: it is a picture/).waitFor();
    await type('Corpus for Stage 2', join(scene.folder, 'texts'));
    const report = page.getByTestId('corpus-report');
    await report.waitFor();
    const text = await report.textContent();
    for (const said of [
      '2 PDF',
      '1 Word',
      '6 HTML',
      'Left out: 1 of kind .png (such as photo.png).',
      'Left out: 1 that could not be read.',
      'scan.pdf holds no text',
      'Quarterly report\nParcels were late.',
      'With “kind” regards 🦙',
      'The depot number 0 is open on working days only.',
    ])
      expect(text).toContain(said);
    await report.getByText('Lines that occur again and again (1)').click();
    await report.getByText('All rights reserved by the post office.').first().waitFor();
    await report.scrollIntoViewIfNeeded();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await screenshot(page, `wizard-corpus-${colorScheme}`);
      expect(await findViolations(page)).toEqual([]);
    }
    await page.setViewportSize({ width: 819, height: 800 });
    expect(await overflow(page)).toBeLessThanOrEqual(0);
  });
});
