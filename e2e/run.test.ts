/** The demo, started with one click on the first screen. TRITSMITH_TEST_DEMO=1 lets it go to its end, which takes two minutes. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const scene = openScene();

const fraction = async (): Promise<number> =>
  Number.parseInt((await scene.page.getByTestId('fraction').textContent()) ?? '', 10);
const status = (text: string) => scene.page.locator('.badge', { hasText: text }).first();

describeInBrowser('a run that is watched', () => {
  it('starts with one click on the demo and shows its progress and curves', async () => {
    const { page } = scene;
    await page.getByRole('button', { name: 'Run the demo' }).click();
    await page.waitForURL('**/experiments/*');
    await page.getByRole('heading', { name: /Curves of “Teach the teacher”/ }).waitFor();
    await page.locator('figure canvas').first().waitFor();
    await expect.poll(fraction).toBeGreaterThan(0);
    expect(await page.getByTestId('eta').textContent()).toMatch(/left|not known/);
    await expect.poll(() => page.getByRole('progressbar').getAttribute('aria-valuenow')).not.toBe('0');
    await screenshot(page, 'run-live');
  });

  it('survives a reload of the page, and the bar does not go back', async () => {
    const before = await fraction();
    await scene.page.reload();
    await status('Running').waitFor();
    await scene.page.locator('figure canvas').first().waitFor();
    expect(await fraction()).toBeGreaterThanOrEqual(before);
  });

  it('pauses with the state saved, and goes on from there', async () => {
    const { page } = scene;
    await page.getByRole('button', { name: 'Pause' }).click();
    await status('Paused').waitFor();
    await page.getByText('The state is saved; memory and processor are free.').waitFor();
    const paused = await fraction();
    expect(paused).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Resume' }).click();
    await status('Running').waitFor();
    await expect.poll(fraction).toBeGreaterThanOrEqual(paused);
  });

  it('tells what happened when the worker is killed, and resumes', async () => {
    const { page } = scene;
    const [experiment] = readdirSync(join(scene.workspace, 'experiments'));
    const worker = join(scene.workspace, 'experiments', experiment!, 'worker.json');
    // The next worker may still be starting.
    let pid = 0;
    await expect
      .poll(() => (pid = (JSON.parse(readFileSync(worker, 'utf8')) as { pid: number }).pid))
      .toBeGreaterThan(0);
    process.kill(pid, 'SIGKILL');
    await page.getByRole('heading', { name: 'It stopped with an error' }).waitFor();
    await page.getByText('The worker process ended in the middle of its work.').first().waitFor();
    await screenshot(page, 'run-failed');
    await page.getByRole('button', { name: 'Resume' }).click();
    await status('Running').waitFor();
  });

  it('is paused by the end of the workbench and can be resumed by the next one', async () => {
    await scene.reopen('stop');
    const { page } = scene;
    await page
      .getByRole('link', { name: /Demo|demo/ })
      .first()
      .click();
    await status('Paused').waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await status('Running').waitFor();
  });

  it('asks before it cancels', async () => {
    const { page } = scene;
    await page.getByRole('button', { name: 'Cancel' }).click();
    const dialog = page.getByRole('alertdialog');
    await dialog.getByRole('button', { name: 'Keep it running' }).click();
    await dialog.waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Cancel' }).click();
    await dialog.getByRole('button', { name: 'Cancel the experiment' }).click();
    await status('Cancelled').waitFor();
  });

  it.skipIf(process.env['TRITSMITH_TEST_DEMO'] !== '1')(
    'goes to its results and its verified file (TRITSMITH_TEST_DEMO=1)',
    { timeout: 1_800_000 },
    async () => {
      const { page } = scene;
      await page.getByRole('button', { name: 'Resume' }).click();
      await page.getByRole('link', { name: 'See the results' }).click({ timeout: 1_790_000 });
      const rows = page.getByTestId('comparison').locator('tbody tr');
      await rows.first().waitFor();
      expect(await rows.count()).toBeGreaterThanOrEqual(3);
      const [id] = readdirSync(join(scene.workspace, 'experiments'));
      const folder = join(scene.workspace, 'experiments', id!);
      const { rows: found, export: file } = JSON.parse(readFileSync(join(folder, 'comparison.json'), 'utf8')) as {
        rows: { name: string; accuracy: number }[];
        export: { path: string; verified: boolean };
      };
      const student = found.find(({ name }) => name === 'bitdistill')!.accuracy;
      expect(student).toBeGreaterThan(0.9);
      expect(await rows.last().textContent()).toContain(`${(student * 100).toFixed(1)} %`);
      expect([file.verified, existsSync(join(folder, file.path))]).toEqual([true, true]);
      await screenshot(page, 'demo-results');
    },
  );

  it('leaves no error in the console of the browser', () => {
    expect(scene.allComplaints()).toEqual([]);
  });
});
