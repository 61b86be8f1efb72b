/** How quick the interface is: first paint, and while a run with a million stored points streams, the page's longest task and how long input waits. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { forkPort } from '../main/jobs/fork-port.ts';
import { demoRecipe } from '../main/workbench/interface/demo.ts';
import { createExperiment } from '../main/workbench/experiments/run-experiment.ts';
import { openWorkspace } from '../main/workbench/workspace/workspace.ts';

const metricNames = ['loss', 'tokens-per-second', 'gradient-norm', 'learning-rate'];
const mostPoints = 250_000;
const radix = 16;
const levelCount = 6;

/** A workspace whose only experiment, the demo, has not run yet but holds a million points of its first stage. Returns its id. */
export async function makeLongRun(folder: string): Promise<string> {
  const workspace = await openWorkspace({ folder, mode: 'write', purpose: 'test' });
  const port = forkPort(fileURLToPath(new URL('../main/jobs/worker.ts', import.meta.url)));
  const { id } = await createExperiment(workspace, await demoRecipe(port), port);
  const { database } = workspace;
  database.transaction(() => {
    for (const metric of metricNames) {
      const series = Number(
        database.prepare('INSERT INTO series (experiment, name) VALUES (?, ?)').run(id, `finetune/${metric}`)
          .lastInsertRowid,
      );
      // Behind the steps that the run itself will make; a falling wave.
      database
        .prepare(
          `WITH RECURSIVE steps (step) AS (SELECT 1000 UNION ALL SELECT step + 1 FROM steps WHERE step < 999 + ?)
           INSERT INTO points (series, step, value) SELECT ?, step, 5.0 - step / 80000.0 + (step * 7919 % 1000) / 1000.0 FROM steps`,
        )
        .run(mostPoints, series);
      database
        .prepare(
          `INSERT INTO extremes (series, level, bucket, low, low_step, high, high_step)
           SELECT series, 1, step / ${String(radix)}, min(value), min(step), max(value), max(step) FROM points WHERE series = ? GROUP BY 3`,
        )
        .run(series);
      for (let level = 2; level <= levelCount; level += 1)
        database
          .prepare(
            `INSERT INTO extremes (series, level, bucket, low, low_step, high, high_step)
             SELECT series, ?, bucket / ${String(radix)}, min(low), min(low_step), max(high), max(high_step)
             FROM extremes WHERE series = ? AND level = ? GROUP BY 3`,
          )
          .run(level, series, level - 1);
    }
  })();
  workspace.close();
  return id;
}

/** Milliseconds from the start of a navigation to the first content, with a warm cache: the middle one of five. */
async function firstPaint(page: Page, address: string): Promise<number> {
  const times: number[] = [];
  for (let turn = 0; turn < 5; turn += 1) {
    await page.goto(address);
    await page.locator('main h1').waitFor();
    times.push(
      (await page.evaluate(`performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN`)) as number,
    );
  }
  return times.sort((a, b) => a - b)[2]!;
}

export interface Tasks {
  /** Longest tasks of the page's main thread in milliseconds, longest first: time on the processor, and by the clock. */
  readonly processor: readonly number[];
  readonly clock: readonly number[];
  readonly count: number;
}
interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  dur?: number;
  tdur?: number;
  args?: { name?: string };
}

/** What the page's main thread does for `milliseconds`. Other work on the machine stretches the clock, not the processor time. */
async function traceTasks(browser: Browser, page: Page, milliseconds: number): Promise<Tasks> {
  await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline', '__metadata'] });
  await page.waitForTimeout(milliseconds);
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const mains = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${String(pid)}/${String(tid)}`),
  );
  const tasks = traceEvents.filter(
    ({ name, ph, pid, tid }) => ph === 'X' && /(^|::)RunTask$/.test(name) && mains.has(`${String(pid)}/${String(tid)}`),
  );
  const longest = (key: 'dur' | 'tdur'): number[] =>
    tasks
      .map((task) => (task[key] ?? NaN) / 1000)
      .sort((a, b) => b - a)
      .slice(0, 5);
  return { processor: longest('tdur'), clock: longest('dur'), count: tasks.length };
}

/** Milliseconds from each of `count` real clicks to the first of the page's code that hears of it, the longest first; by the clock. */
async function inputDelays(page: Page, count: number): Promise<number[]> {
  await page.evaluate(`
    globalThis.inputDelays = [];
    addEventListener('pointerdown', (event) => inputDelays.push(performance.now() - event.timeStamp), true);
  `);
  for (let click = 0; click < count; click += 1) {
    // Both redraw every curve.
    await page.getByText(click % 2 === 0 ? 'Logarithmic' : 'Smooth', { exact: true }).click();
    await page.waitForTimeout(150);
  }
  return ((await page.evaluate('globalThis.inputDelays')) as number[]).sort((a, b) => b - a);
}

export interface InterfaceSpeed {
  readonly firstPaintMilliseconds: number;
  readonly storedPoints: number;
  /** Steps of the run that were watched. */
  readonly steps: number;
  readonly tasks: Tasks;
  /** How long clicks waited while the steps streamed, in milliseconds, the longest first. */
  readonly inputDelays: readonly number[];
  /** Bytes of script that the first page needs, and of all pages together. */
  readonly firstPageBytes: number;
  readonly allPagesBytes: number;
}

/** Watches the run of `makeLongRun` in a page that is at `origin`, for `milliseconds` of streamed steps. */
export async function measureInterface(
  browser: Browser,
  page: Page,
  origin: string,
  id: string,
  milliseconds: number,
): Promise<InterfaceSpeed> {
  const firstPaintMilliseconds = await firstPaint(page, `${origin}/`);
  const firstPageBytes = (await page.evaluate(
    `performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('.js')).reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0)`,
  )) as number;
  await page.goto(`${origin}/experiments/${id}`);
  await page.getByRole('button', { name: 'Resume' }).click();
  const progress = page.getByText(/Running: [\d,]+ of [\d,]+ steps/);
  const step = async (): Promise<number> =>
    Number(/Running: ([\d,]+)/.exec((await progress.textContent()) ?? '')?.[1]?.replaceAll(',', ''));
  await progress.waitFor();
  await page.locator('figure canvas').first().waitFor();
  const before = await step();
  const tasks = await traceTasks(browser, page, milliseconds);
  const clicks = await inputDelays(page, 12);
  return {
    firstPaintMilliseconds,
    storedPoints: metricNames.length * mostPoints,
    steps: (await step()) - before,
    tasks,
    inputDelays: clicks,
    firstPageBytes,
    allPagesBytes: scriptBytes(),
  };
}

function scriptBytes(): number {
  const folder = fileURLToPath(new URL('../out/renderer/assets', import.meta.url));
  return readdirSync(folder)
    .filter((name) => name.endsWith('.js'))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
