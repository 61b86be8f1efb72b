/** The page of runs on another computer, over a real sshd: watched, paused, gone on with, and fetched. */
import { execFile } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { faultsInBothThemes } from './accessibility.ts';
import { deadline, root } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';
import { missingForSshd, type SmallSshd, startSshd, tinyRecipe } from './small-sshd.ts';

const lacking = process.platform === 'win32' ? ['a POSIX system'] : missingForSshd();
if (lacking.length > 0)
  process.stdout.write(`NO SSHD, so the page of runs elsewhere is not tested. It needs: ${lacking.join(', ')}\n`);
const run = promisify(execFile);
const soon = { timeout: deadline };
let sshd: SmallSshd | null = null;

const scene = openScene({
  prepare: async (folder) => {
    if (lacking.length > 0) return;
    sshd = await startSshd(join(folder, 'sshd'));
    // The workbench is started from here.
    process.env['PATH'] = sshd.env['PATH'];
    const path = join(folder, 'recipe.json');
    const recipe = tinyRecipe(join(folder, 'files'));
    writeFileSync(path, JSON.stringify({ ...recipe, name: 'Tickets', distil: { ...recipe.distil, steps: 5000 } }));
    const program = join(root, 'main', 'shell', 'cli', 'main.ts');
    const args = ['run', path, '--on', `there:${root}`, '--detach', '--workspace', join(folder, 'workspace')];
    await run(process.execPath, [program, ...args], { env: sshd.env });
  },
});
afterAll(() => sshd?.end());

describeInBrowser('runs on other computers', () => {
  it.skipIf(lacking.length > 0)('are shown, paused, resumed and fetched', async () => {
    const { page } = scene;
    const button = (name: string) => page.getByRole('button', { name, exact: true });
    await page.goto(`${scene.origin}/experiments`);
    const list = page.getByTestId('runs-elsewhere');
    await list.getByText('Tickets', { exact: true }).waitFor(soon);
    expect(await list.innerText()).toContain(`on there:${root}`);
    await list.getByText(/Distil: [\d,]+ of 5,?000 steps, [\d,]+ tok\/s/).waitFor(soon);
    await list.getByText('Running', { exact: true }).waitFor(soon);
    expect(await faultsInBothThemes(page, 'elsewhere-running')).toEqual([]);

    await button('Pause Tickets').click();
    await list.getByText('Paused', { exact: true }).waitFor(soon);
    await button('Resume Tickets there').click();
    await list.getByText('Running', { exact: true }).waitFor(soon);
    await button('Pause Tickets').click();
    await list.getByText('Paused', { exact: true }).waitFor(soon);

    sshd!.refuse(true);
    await page.reload();
    await list.getByText('there cannot be reached.').waitFor(soon);
    expect(await faultsInBothThemes(page, 'elsewhere-unreachable')).toEqual([]);
    sshd!.refuse(false);
    await page.reload();
    await list.getByText('there cannot be reached.').waitFor({ state: 'detached', ...soon });

    await button('Fetch Tickets').click();
    await page.waitForURL(/\/experiments\/tickets-1$/, soon);
    await page.getByRole('button', { name: 'Resume' }).first().waitFor(soon);
    await page.goto(`${scene.origin}/experiments`);
    await page.getByRole('link', { name: 'Tickets' }).first().waitFor(soon);
    expect(await list.count()).toBe(0);
    const copies = page.getByTestId('copies-elsewhere');
    await copies.getByText('One that was fetched is still there too').click();
    await button('Remove there: Tickets').click();
    await page.getByText('It was fetched, so the experiment here stays.').waitFor(soon);
    expect(await faultsInBothThemes(page, 'elsewhere-remove')).toEqual([]);
    await button('Remove it there').click();
    await copies.waitFor({ state: 'detached', ...soon });
    expect(readdirSync(join(sshd!.data, 'tritsmith', 'remote', 'runs'))).toEqual([]);
  });

  it.skipIf(lacking.length > 0)('are sent from a recipe, and cancelled', async () => {
    const { page } = scene;
    const button = (name: string) => page.getByRole('button', { name, exact: true });
    await page.goto(`${scene.origin}/experiments/tickets-1/recipe`);
    await page.getByText('Run it on another computer').click();
    await page.getByLabel('Computer and folder').fill(`locked:${root}`);
    await button('Send it there').click();
    await page.getByText('locked does not let you in.').waitFor(soon);
    expect(await faultsInBothThemes(page, 'elsewhere-send')).toEqual([]);
    await page.getByLabel('Computer and folder').fill(`there:${root}`);
    await button('Send it there').click();
    await page.waitForURL(/\/experiments$/, soon);
    const list = page.getByTestId('runs-elsewhere');
    await list.getByText(/Distil: /).waitFor(soon);
    // A second one while it runs.
    await page.goto(`${scene.origin}/experiments/tickets-1/recipe`);
    await page.getByText('Run it on another computer').click();
    await page.getByLabel('Computer and folder').fill(`there:${root}`);
    await button('Send it there').click();
    await page.getByText(/That computer is busy: tickets-\w+ runs there\./).waitFor(soon);
    expect(await button('Start it beside the other run').count()).toBe(1);
    expect(await faultsInBothThemes(page, 'elsewhere-busy')).toEqual([]);
    await page.goto(`${scene.origin}/experiments`);
    await button('Cancel Tickets').click();
    await button('Cancel the experiment').click();
    await list.getByText('Cancelled', { exact: true }).waitFor(soon);
    await button('Remove there: Tickets').click();
    await page.getByText('all that it made there will be lost').waitFor(soon);
    await button('Remove it there').click();
    await list.waitFor({ state: 'detached', ...soon });
  });
});
