import { expect, it } from 'vitest';
import { faultsInBothThemes } from './accessibility.ts';
import { deadline } from './harness.ts';
import { describeInBrowser, openScene } from './scene.ts';

const scene = openScene();
const soon = { timeout: deadline };

/** What has the focus: its name, and whether the focus can be seen. */
const focused = (): Promise<{ name: string; visible: boolean }> =>
  scene.page.evaluate(`(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return {
      name: (element.getAttribute('aria-label') ?? element.textContent ?? '').replace(/\\s+/g, ' ').trim(),
      visible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
    };
  })()`);

/** Presses Tab until something of that name has the focus, which must be seen there. */
async function tabTo(name: string | RegExp): Promise<void> {
  const passed: string[] = [];
  for (let turn = 0; turn < 150; turn += 1) {
    await scene.page.keyboard.press('Tab');
    const now = await focused();
    passed.push(now.name);
    if (typeof name === 'string' ? now.name !== name : !name.test(now.name)) continue;
    expect(now.visible, `the focus on “${now.name}” can be seen`).toBe(true);
    return;
  }
  throw new Error(`Tab never reached ${String(name)}. It passed: ${[...new Set(passed)].join(' | ')}`);
}
async function press(name: string | RegExp): Promise<void> {
  await tabTo(name);
  await scene.page.keyboard.press('Enter');
}
/** Checks the screen as it is now in both themes, at 1024 pixels and 125 %. */
async function check(name: string): Promise<void> {
  expect(await faultsInBothThemes(scene.page, `keyboard-${name}`)).toEqual([]);
}
const heading = (name: string | RegExp) => scene.page.getByRole('heading', { name }).first().waitFor(soon);

describeInBrowser('with the keyboard alone', () => {
  it('one gets from the first screen through every step of the wizard, each of them accessible in both themes', async () => {
    const { page } = scene;
    await press('New experiment');
    await heading('Which model do you want to make small?');
    await press(/^Demo teacher/);
    await page.getByText('What the student will weigh').waitFor(soon);
    await check('teacher');
    await press('Next');
    await heading('What should it learn?');
    await press(/^Use the demo/);
    await page
      .getByText(/rows can be used/)
      .first()
      .waitFor(soon);
    await page.getByTestId('preview').waitFor(soon);
    await check('data');
    await press('Next');
    await heading('How thorough should it be?');
    await tabTo('Balanced');
    // As quick as fingers can be.
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowLeft');
    expect(await page.getByRole('radio', { name: 'Quick' }).isChecked()).toBe(true);
    await page.keyboard.press('ArrowRight');
    expect(await page.getByRole('radio', { name: 'Balanced' }).isChecked()).toBe(true);
    await page.keyboard.press('ArrowLeft');
    expect((await focused()).name).toBe('Quick');
    await press(/^Expert settings/);
    await page.getByLabel('Stage 3: distil: Learning rate').waitFor(soon);
    await tabTo('Stage 3: distil: Learning rate');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('-1');
    await page.keyboard.press('Tab');
    await page.getByText('This must be above 0.').waitFor(soon);
    expect(await page.getByLabel('Stage 3: distil: Learning rate').getAttribute('aria-invalid')).toBe('true');
    await check('recipe');
    await press('Next');
    await page.getByText('A guess from sizes.').waitFor(soon);
    await check('machine');
    await press('Next');
    await heading('Ready to run');
    await check('review');
  });

  it('one starts a run, pauses it, resumes it and cancels it', async () => {
    const { page } = scene;
    const status = (text: string) => page.locator('.badge', { hasText: text }).first().waitFor(soon);
    await press('Run the experiment');
    await page.waitForURL('**/experiments/*');
    await heading(/Curves of “Teach the teacher”/);
    await page.locator('figure canvas').first().waitFor(soon);
    await check('run');
    const spoken = page.locator('p[aria-live=polite]');
    await expect.poll(() => spoken.textContent(), soon).toMatch(/^Teach the teacher, \d+ %/);
    await press('Pause');
    await status('Paused');
    await press('Resume');
    await status('Running');
    await press('Cancel');
    await page.getByRole('alertdialog').waitFor();
    await press('Cancel the experiment');
    await status('Cancelled');
    expect(scene.allComplaints()).toEqual([]);
  });
});
