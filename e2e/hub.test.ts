/** A teacher from the Hub: nothing is asked unasked, an unreachable Hub blocks nothing, a killed workbench goes on. */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HubServer, startHubServer } from '../main/hub/fixtures/hub-server.ts';
import { findViolations, overflow } from './accessibility.ts';
import { root, screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const teacher = join(root, 'resources', 'demo', 'teacher');
let hub: HubServer;
beforeAll(async () => {
  hub = await startHubServer([
    {
      id: 'acme/tiny-qwen3',
      folder: teacher,
      family: 'qwen3',
      parameters: { BF16: 984_000 },
      tags: ['license:mit'],
      downloads: 4711,
    },
    { id: 'acme/huge-llama', folder: teacher, family: 'llama', parameters: { BF16: 70e9 }, downloads: 99_999 },
    { id: 'acme/secret', folder: teacher, family: 'qwen2', parameters: { BF16: 984_000 }, gated: true },
  ]);
  // Inherited by the workbench that the scene starts.
  process.env['HF_ENDPOINT'] = hub.endpoint;
  process.env['HF_TOKEN'] = '';
});
const scene = openScene();
afterAll(async () => {
  await hub.close();
});
const target = (): string => join(scene.workspace, 'teachers', 'acme--tiny-qwen3');
const growing = (): string => join(`${target()}.incomplete`, 'model.safetensors.incomplete');
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });

describeInBrowser('a teacher from the Hub', () => {
  it('asks nothing before the user searches', async () => {
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await button('Search the Hub').click();
    await page.getByRole('searchbox', { name: 'Name or part of it' }).fill('tiny');
    expect(hub.requests).toEqual([]);
  });

  it('says that the Hub cannot be reached, and everything on this machine goes on', async () => {
    const { page } = scene;
    hub.faults.status = { code: 503 };
    await button('Search').last().click();
    await page.getByText(/has trouble of its own/).waitFor();
    await page.getByText('Everything that is on this machine works without it.', { exact: false }).waitFor();
    await screenshot(page, 'hub-unreachable');
    await button(/Demo teacher/).click();
    await page.getByText('What the student will weigh').waitFor();
    delete hub.faults.status;
  });

  it('finds models that can be trained, in the size that was asked for', async () => {
    const { page } = scene;
    await button('Try again').click();
    const rows = page.getByTestId('hub-results').locator('tbody tr');
    await rows.first().waitFor();
    expect(await rows.count()).toBe(1);
    expect(await rows.first().textContent()).toMatch(/acme\/tiny-qwen3.*984 k.*mit.*4,711/);
    await page.getByRole('searchbox').fill('');
    await page.getByLabel('Size').selectOption('any');
    await button('Search').last().click();
    await expect.poll(() => rows.count()).toBe(3);
  });

  it('shows the facts before the download', async () => {
    const { page } = scene;
    await button('Look closer at acme/tiny-qwen3').click();
    const facts = page.getByTestId('hub-model');
    await facts.getByText('What the student will weigh').waitFor();
    const text = (await facts.textContent()) ?? '';
    for (const fact of [
      'Qwen3',
      '984 k, of which 786 k become ternary',
      '256 tokens',
      'mit',
      'it fits:',
      '649 kB (198 kB)',
      'of memory',
    ])
      expect(text).toContain(fact);
    expect(await findViolations(page)).toEqual([]);
    await page.setViewportSize({ width: 819, height: 800 });
    expect(await overflow(page)).toBeLessThanOrEqual(0);
    await page.setViewportSize({ width: 1280, height: 860 });
    await screenshot(page, 'hub-model');
    expect(hub.requests.filter(({ path }) => path.includes('safetensors') && !path.startsWith('/api/'))).toEqual([]);
  });

  it('asks for a token where a licence must be accepted, and keeps it in memory', async () => {
    const { page } = scene;
    await button('Look closer at acme/secret').click();
    await page.getByText('The owner of this model wants its licence accepted first.').waitFor();
    await screenshot(page, 'hub-token');
    await page.getByLabel('Access token').fill(hub.token);
    await button('Use it').click();
    await page.getByText('A token is in use.', { exact: false }).waitFor();
    await page.getByTestId('hub-model').getByText('What the student will weigh').waitFor();
    for (const name of readdirSync(scene.workspace, { recursive: true, encoding: 'utf8' }))
      if (statSync(join(scene.workspace, name)).isFile())
        expect(readFileSync(join(scene.workspace, name), 'latin1')).not.toContain(hub.token);
  });

  it('goes on after the workbench was killed in the middle, and the teacher is chosen', async () => {
    hub.faults.bytesPerSecond = 50_000;
    await button('Look closer at acme/tiny-qwen3').click();
    await button(/^Download 2\.\d+ MB$/).click();
    await scene.page
      .getByTestId('hub-download')
      .getByText(/ of 2\.\d+ MB/)
      .waitFor();
    await expect.poll(() => (existsSync(growing()) ? statSync(growing()).size : 0)).toBeGreaterThan(100_000);
    await screenshot(scene.page, 'hub-downloading');
    await scene.reopen('kill');
    const there = statSync(growing()).size;
    delete hub.faults.bytesPerSecond;
    hub.requests.length = 0;
    const { page } = scene;
    await page.getByRole('link', { name: 'New experiment' }).first().click();
    await page
      .getByTestId('hub-download')
      .getByText(/Stopped; .* are here and stay/)
      .waitFor();
    expect(hub.requests).toEqual([]);
    await button('Resume').click();
    await page.getByText('It is here, checked, and among your teachers.').waitFor();
    expect(hub.requests.filter(({ host }) => host === 'cdn').map(({ range }) => range)).toContain(
      `bytes=${String(there)}-`,
    );
    await expect
      .poll(() => page.getByRole('textbox', { name: 'Model folder or GGUF file' }).inputValue())
      .toBe(target());
    expect(await button(/^acme\/tiny-qwen3/).getAttribute('aria-pressed')).toBe('true');
    expect(
      readFileSync(join(target(), 'model.safetensors')).equals(readFileSync(join(teacher, 'model.safetensors'))),
    ).toBe(true);
    await screenshot(page, 'hub-done');
  });

  it('leaves nothing of a download that is cancelled', async () => {
    const { page } = scene;
    hub.faults.bytesPerSecond = 20_000;
    await button('Search the Hub').click();
    await page.getByRole('searchbox').fill('huge');
    await page.getByLabel('Size').selectOption('any');
    await button('Search').last().click();
    await button('Look closer at acme/huge-llama').click();
    await button(/^Download 2\.\d+ MB$/).click();
    const running = page.getByTestId('hub-download').filter({ hasText: 'acme/huge-llama' });
    await running.getByText(/ of 2\.\d+ MB/).waitFor();
    await running.getByRole('button', { name: 'Cancel' }).click();
    await running.waitFor({ state: 'detached' });
    expect(readdirSync(join(scene.workspace, 'teachers'))).toEqual(['acme--tiny-qwen3']);
    expect(scene.allComplaints()).toEqual([]);
  });
});
