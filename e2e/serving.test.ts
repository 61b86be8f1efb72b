/** A student for other programs: served with a button, asked with the examples that the page shows, stopped, and ended with the workbench. */
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { faultsInBothThemes } from './accessibility.ts';
import { deadline } from './harness.ts';
import { makeColours } from './sample-workspace.ts';
import { describeInBrowser, openScene } from './scene.ts';

const classes = ['red', 'green', 'blue'];
let experiment = '';
const scene = openScene({
  prepare: async (folder) => {
    experiment = (await makeColours(folder, classes)).id;
  },
});
const soon = { timeout: deadline };
const button = (name: string) => scene.page.getByRole('button', { name });
const shown = (id: string): Promise<string> => scene.page.getByTestId(id).innerText();
const run = promisify(execFile);
let address = '';

describeInBrowser('a student for other programs', () => {
  it('is handed over as a folder, which is not written twice', async () => {
    const { page } = scene;
    const into = join(scene.folder, 'handed-over');
    await page.goto(`${scene.origin}/experiments/${experiment}/exports`);
    await page.getByText('Hand it over: a folder for those who use it').click();
    const field = page.getByLabel('Folder to make');
    expect(await field.inputValue()).toMatch(new RegExp(`${experiment}-i2_s$`));
    await field.fill(into);
    await button('Make the folder').click();
    const card = page.getByTestId('hand-over-i2_s');
    await card.getByText('README.md says how it is used.').waitFor(soon);
    expect(await card.innerText()).toContain(into);
    expect(readdirSync(into)).toEqual(expect.arrayContaining(['README.md', 'student.gguf', 'task.json']));
    expect(await faultsInBothThemes(page, 'hand-over')).toEqual([]);
    await button('Make the folder').click();
    await card.getByText('There is something in').waitFor(soon);
  });

  it('is served with a button, which says where, with which token and how to ask', async () => {
    const { page } = scene;
    await page.goto(`${scene.origin}/experiments/${experiment}/exports`);
    await button('Serve this model').click();
    await page.getByTestId('served-address').waitFor(soon);
    address = (await shown('served-address')).replace(/\/v1$/, '');
    expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await fetch(`${address}/v1/models`)).status).toBe(401);
    expect(await shown('served-counts')).toBe('0 answered, 0 at work, 0 waiting');
    expect(await faultsInBothThemes(page, 'serving')).toEqual([]);
  });

  it('answers each example as it stands there', async () => {
    const { page } = scene;
    const example = async (language: string): Promise<string> => {
      await page.getByLabel('Example for').selectOption(language);
      return shown('serving-example');
    };
    const script = join(scene.folder, 'ask.mjs');
    writeFileSync(script, await example('javascript'));
    const javascript = (await run(process.execPath, [script])).stdout.trim();
    expect(classes).toContain(javascript);
    const python = await run('python3', ['-c', await example('python')]);
    expect(python.stdout.trim()).toBe(javascript);
    const curl = await example('curl');
    expect(curl).toMatch(/^curl http/);
    const { stdout } = await run('sh', ['-c', curl]);
    expect((JSON.parse(stdout) as { data: { label: string }[] }).data[0]!.label).toBe(javascript);
    await expect.poll(() => shown('served-counts')).toBe('3 answered, 0 at work, 0 waiting');
  });

  it('is still there after the page was loaded again', async () => {
    await scene.page.reload();
    await expect.poll(() => shown('served-address')).toBe(`${address}/v1`);
    expect(await shown('served-counts')).toMatch(/^3 answered/);
  });

  it('stops with a button, and comes back with another token', async () => {
    const { page } = scene;
    const before = await shown('serving-example');
    await button('Stop serving').click();
    await button('Serve this model').waitFor(soon);
    await expect(fetch(`${address}/health`)).rejects.toThrow();
    await button('Serve this model').click();
    await page.getByTestId('served-address').waitFor(soon);
    expect(await shown('serving-example')).not.toBe(before);
    address = (await shown('served-address')).replace(/\/v1$/, '');
    expect((await fetch(`${address}/health`)).status).toBe(200);
  });

  it('ends with the workbench', async () => {
    await scene.reopen('stop');
    await expect(fetch(`${address}/health`)).rejects.toThrow();
  });
});
