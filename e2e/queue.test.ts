/** Several experiments one after the other, what closing the page asks, and the notification at the end. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { findViolations } from './accessibility.ts';
import { screenshot } from './harness.ts';
import { describeInBrowser, openScene, shell } from './scene.ts';

const scene = openScene();
const button = (name: string | RegExp) => scene.page.getByRole('button', { name });
const waiting = (): Promise<string[]> => scene.page.getByTestId('queue').getByRole('link').allTextContents();

describeInBrowser('the queue', () => {
  it('runs one experiment and lets the others wait in their order', async () => {
    const { page } = scene;
    for (let each = 0; each < 3; each += 1) {
      await page.goto(scene.origin);
      await button('Run the demo').click();
      await page.waitForURL('**/experiments/*');
    }
    await page.goto(scene.origin);
    await page.getByTestId('queue').waitFor();
    expect(await waiting()).toHaveLength(2);
    expect(await findViolations(page)).toEqual([]);
    await screenshot(page, 'queue');
  });

  it('lets them be put in another order, and taken out', async () => {
    const { page } = scene;
    const links = page.getByTestId('queue').getByRole('link');
    const before = await links.evaluateAll((found) => found.map((each) => each.getAttribute('href')));
    await button(/: later$/)
      .first()
      .click();
    await expect
      .poll(() => links.evaluateAll((found) => found.map((each) => each.getAttribute('href'))))
      .toEqual(before.toReversed());
    await button(/^Take out /)
      .first()
      .click();
    await expect.poll(waiting).toHaveLength(1);
    await links.first().click();
    await page.getByText('It is next: it starts when the running experiment ends.').waitFor();
  });

  it('is kept when the workbench is killed, and waits for a word', async () => {
    await scene.reopen('kill');
    const { page } = scene;
    const left = page.getByTestId('interrupted');
    await left.getByText('“demo” was running when the workbench ended.', { exact: false }).waitFor();
    expect(await waiting()).toHaveLength(1);
    expect(await page.locator('.badge', { hasText: 'Running' }).count()).toBe(0);
    expect(await findViolations(page)).toEqual([]);
    await screenshot(page, 'queue-left');
    await button('Resume demo').click();
    await left.waitFor({ state: 'hidden' });
    await page.getByText('One experiment runs at a time').waitFor();
    expect(await waiting()).toHaveLength(1);
    await expect.poll(() => page.locator('.badge', { hasText: 'Running' }).count()).toBeGreaterThan(0);
  });

  it.skipIf(shell === 'electron')(
    'asks before the page is closed while something runs, and says what it would mean',
    async () => {
      const { page } = scene;
      const asked: string[] = [];
      page.on('dialog', (dialog) => {
        asked.push(dialog.type());
        void dialog.dismiss();
      });
      await page.close({ runBeforeUnload: true });
      await page.getByText('You can close this page: what runs goes on without it', { exact: false }).waitFor();
      expect(asked).toEqual(['beforeunload']);
      await screenshot(page, 'closing');
      page.removeAllListeners('dialog');
      await page.locator('#content').getByRole('button', { name: 'Close' }).click();
    },
  );

  it('notifies of an end that nobody watches', async () => {
    const { page } = scene;
    // The desktop itself is the only thing that is not real here.
    await page.evaluate(`
      globalThis.told = [];
      globalThis.Notification = class {
        static permission = 'granted';
        constructor(title, options) { globalThis.told.push([title, options.body]); }
      };
      document.hasFocus = () => false;
    `);
    const told = (): Promise<unknown> => page.evaluate('globalThis.told');
    const experiments = join(scene.workspace, 'experiments');
    const worker = (): number | null => {
      const notes = readdirSync(experiments).map((each) => join(experiments, each, 'worker.json'));
      const note = notes.find((each) => existsSync(each));
      return note === undefined ? null : (JSON.parse(readFileSync(note, 'utf8')) as { pid: number }).pid;
    };
    // Between two stages there is none for a moment.
    let pid: number | null = null;
    await expect.poll(() => (pid = worker())).not.toBeNull();
    process.kill(pid!, 'SIGKILL');
    await expect.poll(told).toEqual([['demo: Failed', 'It stopped with an error; what was saved can be resumed.']]);
  });
});
