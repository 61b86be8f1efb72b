/** The choice of what trains, on a machine with a graphics card: SwiftShader's, which needs none. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { needsCard, webGpuForTests } from '../main/testing/webgpu.ts';
import { findViolations, overflow } from './accessibility.ts';
import { screenshot } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const before = process.env['TRITSMITH_COMPONENTS'];
const scene = openScene({
  prepare: () => {
    const folder = webGpuForTests();
    if (folder !== null) process.env['TRITSMITH_COMPONENTS'] = dirname(folder);
  },
});
afterAll(() => {
  if (before === undefined) delete process.env['TRITSMITH_COMPONENTS'];
  else process.env['TRITSMITH_COMPONENTS'] = before;
});
const rows = fileURLToPath(new URL('../resources/demo/task/train.tsv', import.meta.url));

describe.skipIf(webGpuForTests() === null)(`a graphics card ${needsCard}`, () => {
  describeInBrowser('in the wizard', () => {
    it('is offered beside the processor, and nobody guesses how fast it is', async () => {
      const { page } = scene;
      const button = (name: string) => page.getByRole('button', { name });
      await page.getByRole('link', { name: 'New experiment' }).first().click();
      await button('Demo teacher').click();
      await page.getByText('What the student will weigh').waitFor();
      await button('Next').click();
      const field = page.getByRole('textbox', { name: 'Training rows', exact: true });
      await field.fill(rows);
      await field.blur();
      await page.getByText('rows can be used.').waitFor();
      await button('Next').click();
      await button('Next').click();
      const processor = page.getByRole('radio', { name: 'Processor' });
      const card = page.getByRole('radio', { name: 'Graphics card' });
      await card.waitFor();
      expect(await processor.isChecked()).toBe(true);
      await page.locator('#about-engine-gpu').getByText('SwiftShader', { exact: false }).waitFor();
      expect(await page.getByTestId('time').textContent()).toMatch(/\d (s|min|h)/);
      await card.check();
      expect(await page.getByTestId('time').textContent()).toContain('Not measured on the card yet.');
      expect(await page.getByTestId('engine-gpu').textContent()).toBe('not measured');
      expect(await findViolations(page)).toEqual([]);
      await screenshot(page, 'wizard-graphics-card');
      await page.setViewportSize({ width: 819, height: 800 });
      expect(await overflow(page)).toBeLessThanOrEqual(0);
      await page.setViewportSize({ width: 1280, height: 860 });
      await button('Next').click();
      // What a run of it will say of itself.
      await page.getByText('What trains').waitFor();
      await screenshot(page, 'wizard-graphics-card-review');
      expect(scene.allComplaints()).toEqual([]);
    });
  });
});
