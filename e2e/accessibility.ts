/** axe-core in the page, as the specs use it. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import { screenshot } from './harness.ts';

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  id: string;
  impact: string | null;
  nodes: { target: unknown[]; failureSummary?: string }[];
}

/** What WCAG 2.2 A and AA and the best practices find wrong on the page now, one line each. */
export async function findViolations(page: Page): Promise<string[]> {
  if (!(await page.evaluate(`'axe' in window`))) await page.evaluate(source);
  const violations = (await page.evaluate(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)`,
  )) as Violation[];
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${String(target)} ${failureSummary ?? ''}`.slice(0, 300)),
  );
}

/** Waits until nothing in the page has changed for a moment: requests, transitions and charts are done. */
export async function settled(page: Page): Promise<void> {
  await page.waitForLoadState('networkidle');
  await page.evaluate(`new Promise((resolve) => {
    let timer = setTimeout(done, 300);
    const observer = new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, 300); });
    observer.observe(document, { childList: true, subtree: true, attributes: true, characterData: true });
    async function done() {
      observer.disconnect();
      await Promise.allSettled(document.getAnimations()
        .filter(({ effect }) => effect.getComputedTiming().endTime !== Infinity).map(({ finished }) => finished));
      resolve();
    }
  })`);
}

/** Pixels by which the page is wider than the window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  ) as Promise<number>;
}

/** What is wrong with the page in both themes at 1024 pixels and 125 %: what axe finds, and whether it is wider than the window. */
export async function faultsInBothThemes(page: Page, name: string): Promise<string[]> {
  const found: string[] = [];
  await page.setViewportSize({ width: 819, height: 800 });
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await expect.poll(() => page.evaluate('document.documentElement.dataset.theme')).toBe(colorScheme);
    for (const line of await findViolations(page)) found.push(`${name}, ${colorScheme}: ${line}`);
    await screenshot(page, `${name}-${colorScheme}`);
  }
  if ((await overflow(page)) > 0) found.push(`${name} is wider than the window`);
  await page.setViewportSize({ width: 1280, height: 860 });
  return found;
}
